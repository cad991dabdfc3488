"""ICE, DTLS and socket values, as they travel between a transport and whoever talks to its far end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Protocol = Literal["udp", "tcp"]
IceState = Literal["new", "connected", "completed", "disconnected", "closed"]
DtlsState = Literal["new", "connecting", "connected", "failed", "closed"]
DtlsRole = Literal["auto", "client", "server"]
FingerprintAlgorithm = Literal["sha-1", "sha-224", "sha-256", "sha-384", "sha-512"]


@dataclass(frozen=True, slots=True)
class IceParameters:
    """RFC 8839 §5.4; the worker is always ICE-lite (RFC 8445 §2.5)."""

    username_fragment: str
    password: str
    ice_lite: bool = True


@dataclass(frozen=True, slots=True)
class IceCandidate:
    """RFC 8839 §5.1. Always of type ``host``; TCP candidates are passive (RFC 6544 §4.5)."""

    foundation: str
    priority: int
    address: str
    protocol: Protocol
    port: int
    type: Literal["host"] = "host"
    tcp_type: Literal["passive"] | None = None


@dataclass(frozen=True, slots=True)
class DtlsFingerprint:
    """RFC 8122 §5: a hash of the certificate, ``value`` as upper-case hex pairs joined by colons."""

    algorithm: FingerprintAlgorithm
    value: str


@dataclass(frozen=True, slots=True)
class DtlsParameters:
    """How one end of DTLS is known, and which part it takes in the handshake (RFC 5763 §5, RFC 8122 §5)."""

    fingerprints: tuple[DtlsFingerprint, ...]
    role: DtlsRole = "auto"


SrtpCryptoSuite = Literal["AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"]


@dataclass(frozen=True, slots=True)
class SrtpParameters:
    """RFC 4568 §6: the suite, and its key and salt together in base64."""

    crypto_suite: SrtpCryptoSuite
    key_base64: str


@dataclass(frozen=True, slots=True)
class TransportTuple:
    """The two ends of a transport's socket; the remote end is unknown until the first packet."""

    local_address: str
    local_port: int
    protocol: Protocol
    remote_ip: str | None = None
    remote_port: int | None = None


@dataclass(frozen=True, slots=True)
class ListenInfo:
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
