"""Bodies of RTC-02 and RTC-03: ICE and DTLS in mediasoup-client's shapes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from marshmallow import ValidationError

from schemas.base import LenientSchema, ObjectOf, Schema
from schemas.fields import UINT32_MAX, CallId, Choice, Flag, ListOf, Text, Uuid, Whole
from worker_bridge.connectivity import (
    DtlsFingerprint,
    DtlsParameters,
    DtlsRole,
    FingerprintAlgorithm,
    IceCandidate,
    IceParameters,
    Protocol,
)

TransportDirection = Literal["send", "recv"]

MAX_FINGERPRINTS: Final = 8
DIGEST_BYTES: Final = {"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64}


class DtlsFingerprintSchema(LenientSchema[DtlsFingerprint]):
    algorithm = Choice(*get_args(FingerprintAlgorithm))
    value = Text(at_most=191, pattern="[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*", form="hex pairs joined by colons")

    @classmethod
    def make(cls, **values: Any) -> DtlsFingerprint:
        """Upper case is RFC 8122 §5's own; clients write both."""
        algorithm, value = values["algorithm"], values["value"]
        if len(value) != DIGEST_BYTES[algorithm] * 3 - 1:
            raise ValidationError(f"must have {DIGEST_BYTES[algorithm]} hex pairs for {algorithm}", "value")
        return DtlsFingerprint(algorithm, value.upper())


class DtlsParametersSchema(LenientSchema[DtlsParameters]):
    fingerprints = ListOf(ObjectOf(DtlsFingerprintSchema), at_least=1, at_most=MAX_FINGERPRINTS)
    role = Choice(*get_args(DtlsRole), load_default="auto", null_is_absent=True)


class IceParametersSchema(LenientSchema[IceParameters]):
    username_fragment = Text(at_least=4, at_most=256)  # RFC 8839 §5.4
    password = Text(at_least=22, at_most=256)
    ice_lite = Flag(load_default=True, null_is_absent=True)


class IceCandidateSchema(LenientSchema[IceCandidate]):
    foundation = Text(at_most=32)
    priority = Whole(at_least=0, at_most=UINT32_MAX)
    ip = Text(at_most=255, attribute="address", dump_only=True)  # what clients read that are older than ``address``
    address = Text(at_most=255)
    protocol = Choice(*get_args(Protocol))
    port = Whole(at_least=1, at_most=65535)
    type = Choice("host", load_default="host", null_is_absent=True)
    tcp_type = Choice("passive", load_default=None, null_is_absent=True)


@dataclass(frozen=True, slots=True)
class CreateTransportRequest:
    call_id: str
    direction: TransportDirection


@dataclass(frozen=True, slots=True)
class ConnectTransportRequest:
    dtls_parameters: DtlsParameters
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class IceServer:
    """A TURN server with short-lived credentials, as RTCPeerConnection takes it."""

    urls: tuple[str, ...]
    username: str
    credential: str


@dataclass(frozen=True, slots=True)
class TransportCreated:
    """What mediasoup-client's ``createSendTransport`` needs, under ``transportId`` instead of ``id``."""

    transport_id: str
    ice_parameters: IceParameters
    ice_candidates: tuple[IceCandidate, ...]
    dtls_parameters: DtlsParameters
    ice_servers: tuple[IceServer, ...] | None = None


@dataclass(frozen=True, slots=True)
class TransportConnected:
    connected: bool = True


@dataclass(frozen=True, slots=True)
class Closed:
    """A transport or a producer is closed, and what it carried with it."""

    closed: bool = True


@dataclass(frozen=True, slots=True)
class IceRestarted:
    ice_parameters: IceParameters


@dataclass(frozen=True, slots=True)
class Released:
    """How many objects of a room a clean-up closed."""

    transports: int
    producers: int
    consumers: int


@dataclass(frozen=True, slots=True)
class RoomCleaned:
    released: Released
    cleaned: bool = True


class CreateTransportRequestSchema(Schema[CreateTransportRequest]):
    call_id = CallId()
    direction = Choice(*get_args(TransportDirection))


class ConnectTransportRequestSchema(Schema[ConnectTransportRequest]):
    dtls_parameters = ObjectOf(DtlsParametersSchema)
    call_id = CallId(load_default=None)


class IceServerSchema(Schema[IceServer]):
    urls = ListOf(Text(at_most=255), at_least=1, at_most=16)
    username = Text(at_most=255)
    credential = Text(at_most=255)


class TransportCreatedSchema(Schema[TransportCreated]):
    transport_id = Uuid()
    ice_parameters = ObjectOf(IceParametersSchema)
    ice_candidates = ListOf(ObjectOf(IceCandidateSchema), at_most=64)
    dtls_parameters = ObjectOf(DtlsParametersSchema)
    ice_servers = ListOf(ObjectOf(IceServerSchema), at_most=16, load_default=None)


class TransportConnectedSchema(Schema[TransportConnected]):
    connected = Flag()


class ClosedSchema(Schema[Closed]):
    closed = Flag()


class IceRestartedSchema(Schema[IceRestarted]):
    ice_parameters = ObjectOf(IceParametersSchema)


class ReleasedSchema(Schema[Released]):
    transports = Whole(at_least=0, at_most=UINT32_MAX)
    producers = Whole(at_least=0, at_most=UINT32_MAX)
    consumers = Whole(at_least=0, at_most=UINT32_MAX)


class RoomCleanedSchema(Schema[RoomCleaned]):
    cleaned = Flag()
    released = ObjectOf(ReleasedSchema)
