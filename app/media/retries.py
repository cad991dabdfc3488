"""Whether a request to produce is one that was made before: a client that has lost the answer sends it again."""

from __future__ import annotations

from app.media.party_objects import RetryKey
from schemas.producer import ProduceRequest
from worker_bridge import ortc_validate
from worker_bridge.errors import InvalidParameters, Unsupported
from worker_bridge.rtp import RtpParameters


def retry_key(request: ProduceRequest) -> RetryKey:
    """By what the worker tells two producers of one transport apart."""
    encodings = request.rtp_parameters.encodings
    stream = (encodings[0].ssrc or encodings[0].rid or None) if encodings else None
    return request.transport_id, request.kind, request.rtp_parameters.mid or None, stream


def means_the_same(one: RtpParameters, other: RtpParameters) -> bool:
    """Whether two requests ask for the same, however what is not set is spelled."""
    return one == other or ortc_validate.validate_parameters(one) == validated(other)


def validated(parameters: RtpParameters) -> RtpParameters | None:
    """None for what ORTC refuses, as which nothing is stored."""
    try:
        return ortc_validate.validate_parameters(parameters)
    except (InvalidParameters, Unsupported):
        return None
