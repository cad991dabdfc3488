"""What requests ask of the worker, whoever asks. Its refusals are told as what is wrong with the request."""

from __future__ import annotations

from typing import Literal

from app.errors import BadRequest, CannotConsume, ProducerNotFound
from schemas.producer import ProduceRequest
from worker_bridge.consumer import Consumer
from worker_bridge.errors import InvalidParameters, NotFound, RequestRefused, Unsupported
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCapabilities
from worker_bridge.webrtc_transport import WebRtcTransport


async def produce(sender: WebRtcTransport, request: ProduceRequest, *, paused: bool, traced: bool = False) -> Producer:
    """A producer; where it is ``traced``, the worker tells of its RTP. Raises BadRequest for parameters that can't
    be."""
    try:
        traces: tuple[Literal["rtp"], ...] = ("rtp",) if traced else ()
        return await sender.produce(request.kind, request.rtp_parameters, paused=paused, traces=traces)
    except RequestRefused as error:
        raise BadRequest.at("rtpParameters", error.reason) from error
    except (InvalidParameters, Unsupported) as error:
        raise BadRequest.within("rtpParameters", error) from error


async def consume(
    router: Router,
    receiver: WebRtcTransport,
    producer_id: str,
    capabilities: RtpCapabilities,
    before: Consumer | None,
) -> Consumer:
    """A consumer, paused, in place of the one ``before``. Raises CannotConsume where no codec matches, ProducerNotFound
    where the producer closed a moment ago."""
    if not router.can_consume(producer_id, capabilities):
        raise CannotConsume(producer_id)
    if before is not None:
        before.close()
    try:
        return await receiver.consume(producer_id, capabilities, paused=True)
    except NotFound as error:
        raise ProducerNotFound(producer_id) from error
