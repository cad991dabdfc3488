"""Bodies of RTC-02 and RTC-03: ICE and DTLS in mediasoup-client's shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import force_setattr, replace

from schemas.base import Answer, Body
from schemas.own_media import Direction
from schemas.types import CallId, Count, Text, Timestamp, Uuid
from worker_bridge.connectivity import DtlsParameters, FingerprintAlgorithm, IceCandidate, IceParameters

DIGEST_BYTES: Final[Mapping[FingerprintAlgorithm, int]] = {
    "sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64,
}  # fmt: skip


class CreateTransportRequest(Body, frozen=True):
    call_id: CallId
    direction: Direction


class ConnectTransportRequest(Body, frozen=True):
    dtls_parameters: DtlsParameters
    call_id: CallId | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Fingerprints are compared in upper case, which RFC 8122 §5 asks for; clients write both."""
        for index, one in enumerate(self.dtls_parameters.fingerprints):
            if len(one.value) != DIGEST_BYTES[one.algorithm] * 3 - 1:
                problem = f"must have {DIGEST_BYTES[one.algorithm]} hex pairs for {one.algorithm}"
                raise ValueError(f"dtlsParameters.fingerprints.{index}.value: {problem}")
        fingerprints = tuple(replace(one, value=one.value.upper()) for one in self.dtls_parameters.fingerprints)
        force_setattr(self, "dtls_parameters", replace(self.dtls_parameters, fingerprints=fingerprints))


class IceServer(Answer, frozen=True):
    """A TURN server with short-lived credentials, as RTCPeerConnection takes it."""

    urls: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=16)]
    username: Text
    credential: Text


class TransportCreated(Answer, frozen=True):
    """What mediasoup-client's ``createSendTransport`` needs, under ``transportId`` instead of ``id``; and the number of
    the room that it is in."""

    transport_id: Uuid
    ice_parameters: IceParameters
    ice_candidates: tuple[IceCandidate, ...]
    dtls_parameters: DtlsParameters
    media_epoch: Count
    ice_servers: tuple[IceServer, ...] | UnsetType = UNSET


class PreflightOpened(Answer, frozen=True):
    """A room in which the caller is alone, and how long it is there."""

    call_id: CallId
    expires_at: Timestamp


class TransportConnected(Answer, frozen=True):
    connected: bool = True


class Closed(Answer, frozen=True):
    """A transport or a producer is closed, with all that depended on it."""

    closed: bool = True


class IceRestarted(Answer, frozen=True):
    ice_parameters: IceParameters


class Released(Answer, frozen=True):
    """How many objects of a room a clean-up closed."""

    transports: Count
    producers: Count
    consumers: Count


class RoomCleaned(Answer, frozen=True):
    released: Released
    cleaned: bool = True
