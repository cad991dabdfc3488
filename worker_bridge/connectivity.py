"""ICE, DTLS and socket values, as they travel between a transport and whoever talks to its far end."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta
from msgspec.structs import force_setattr

from worker_bridge.value import PRINTABLE, Value, matching, written

Protocol = Literal["udp", "tcp"]
IceState = Literal["new", "connected", "completed", "disconnected", "closed"]
DtlsState = Literal["new", "connecting", "connected", "failed", "closed"]
DtlsRole = Literal["auto", "client", "server"]
FingerprintAlgorithm = Literal["sha-1", "sha-224", "sha-256", "sha-384", "sha-512"]

MAX_FINGERPRINTS: Final = 8


class IceParameters(Value, frozen=True):
    """RFC 8839 §5.4; the worker is always ICE-lite (RFC 8445 §2.5)."""

    username_fragment: Annotated[str, Meta(min_length=4, max_length=256), PRINTABLE]
    password: Annotated[str, Meta(min_length=22, max_length=256), PRINTABLE]
    ice_lite: bool = written(True)


class IceCandidate(Value, frozen=True):
    """RFC 8839 §5.1. Always of type ``host``; TCP candidates are passive (RFC 6544 §4.5)."""

    foundation: Annotated[str, Meta(min_length=1, max_length=32), PRINTABLE]
    priority: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    address: Annotated[str, Meta(min_length=1, max_length=255), PRINTABLE]
    protocol: Protocol
    port: Annotated[int, Meta(ge=1, le=65535)]
    type: Literal["host"] = written("host")
    tcp_type: Literal["passive"] | None = None
    ip: str = ""  # the address again, for clients that are older than ``address``

    def __post_init__(self) -> None:
        if not self.ip:
            force_setattr(self, "ip", self.address)


class DtlsFingerprint(Value, frozen=True):
    """RFC 8122 §5: a hash of the certificate, ``value`` as upper-case hex pairs joined by colons."""

    algorithm: FingerprintAlgorithm
    value: Annotated[
        str, Meta(max_length=191), matching("[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*", "hex pairs joined by colons")
    ]


class DtlsParameters(Value, frozen=True):
    """How one end of DTLS is known, and which part it takes in the handshake (RFC 5763 §5, RFC 8122 §5)."""

    fingerprints: Annotated[tuple[DtlsFingerprint, ...], Meta(min_length=1, max_length=MAX_FINGERPRINTS)]
    role: DtlsRole = written("auto")


SrtpCryptoSuite = Literal["AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"]


class SrtpParameters(Value, frozen=True):
    """RFC 4568 §6: the suite, and its key and salt together in base64."""

    crypto_suite: SrtpCryptoSuite
    key_base64: str


class TransportTuple(Value, frozen=True):
    """The two ends of a transport's socket; the remote end is unknown until the first packet."""

    local_address: str
    local_port: int
    protocol: Protocol
    remote_ip: str | None = None
    remote_port: int | None = None


class ListenInfo(Value, frozen=True):
    """Where the worker binds. ``port`` 0 lets the worker choose, within ``port_range`` if that is given (both ends
    included; it also wins over a port); ``announced_address`` is what candidates carry, and with ``expose_internal_ip``
    they carry ``ip`` as well."""

    protocol: Protocol
    ip: str
    announced_address: str | None = None
    port: int = 0
    expose_internal_ip: bool = False
    send_buffer_size: int = 0  # bytes; 0 leaves the system's default
    recv_buffer_size: int = 0
    port_range: tuple[int, int] | None = None
    ipv6_only: bool = False
    udp_reuse_port: bool = False  # for several workers on one port: SO_REUSEPORT
