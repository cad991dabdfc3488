"""Connectivity values as the worker's schema has them, and back: enum names, tuples, listen infos.

All transports of a server have its candidates, and all of a worker its certificates: values that come again and again
are made once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, Literal, cast

from msgspec.structs import asdict

from worker_bridge.channel import Body
from worker_bridge.checks import instance
from worker_bridge.connectivity import (
    DtlsFingerprint,
    DtlsParameters,
    DtlsRole,
    FingerprintAlgorithm,
    IceCandidate,
    IceParameters,
    ListenInfo,
    SrtpParameters,
    TransportTuple,
)
from worker_bridge.errors import InvalidParameters
from worker_bridge.sctp import SctpOptions

FINGERPRINTS: dict[FingerprintAlgorithm, str] = {
    "sha-1": "SHA1",
    "sha-224": "SHA224",
    "sha-256": "SHA256",
    "sha-384": "SHA384",
    "sha-512": "SHA512",
}
ALGORITHMS = {name: algorithm for algorithm, name in FINGERPRINTS.items()}
NO_SCTP: Final = SctpOptions()
REMEMBERED: Final = 256  # of each: a worker has five fingerprints, two candidates, and DTLS parameters by role


def listen_info_to_fbs(info: ListenInfo) -> Body:
    instance("listen_info", info, ListenInfo)
    return {
        "protocol": info.protocol.upper(),
        "ip": info.ip,
        "announced_address": info.announced_address,
        "expose_internal_ip": info.expose_internal_ip,
        "port": info.port,
        "port_range": {"min": info.port_range[0], "max": info.port_range[1]} if info.port_range else {},
        "flags": {"ipv6_only": info.ipv6_only, "udp_reuse_port": info.udp_reuse_port},
        "send_buffer_size": info.send_buffer_size,
        "recv_buffer_size": info.recv_buffer_size,
    }


def transport_options_to_fbs(
    sctp: SctpOptions | None = None,
    *,
    initial_available_outgoing_bitrate: int | None = None,
    direct: bool = False,
    is_data_channel: bool = False,
) -> Body:
    """The options that every transport has. ``sctp`` None turns SCTP off; the worker wants its sizes all the same. A
    direct transport has no SCTP, but the limits of a message. Bits per second."""
    sizes = NO_SCTP if sctp is None else sctp
    instance("sctp", sizes, SctpOptions)
    return {
        "direct": direct,
        "initial_available_outgoing_bitrate": initial_available_outgoing_bitrate,
        "enable_sctp": sctp is not None and not direct,
        "max_send_message_size": sizes.max_send_message_size,
        "max_receive_message_size": sizes.max_receive_message_size,
        "sctp_send_buffer_size": sizes.send_buffer_size,
        "sctp_per_stream_send_queue_limit": sizes.per_stream_send_queue_limit,
        "sctp_max_receiver_window_buffer_size": sizes.max_receiver_window_buffer_size,
        "sctp_default_stream_buffered_amount_low_threshold": sizes.default_stream_buffered_amount_low_threshold,
        "is_data_channel": is_data_channel,
    }


def srtp_to_fbs(parameters: SrtpParameters | None) -> Body | None:
    if parameters is None:
        return None
    instance("srtp_parameters", parameters, SrtpParameters)
    return asdict(parameters)


def srtp_from_fbs(body: Body | None) -> SrtpParameters | None:
    return SrtpParameters(body["crypto_suite"], body["key_base64"]) if body else None


def tuple_from_fbs(body: Body) -> TransportTuple:
    return TransportTuple(
        local_address=body["local_address"],
        local_port=body["local_port"],
        protocol=body["protocol"].lower(),
        remote_ip=body["remote_ip"] or None,
        remote_port=body["remote_port"] or None,
    )


def ice_parameters_from_fbs(body: Body) -> IceParameters:
    return IceParameters(body["username_fragment"], body["password"], body["ice_lite"])


def ice_candidate_from_fbs(body: Body) -> IceCandidate:
    return _ice_candidate(
        body["foundation"], body["priority"], body["address"], body["protocol"], body["port"], body["tcp_type"]
    )


@lru_cache(REMEMBERED)
def _ice_candidate(
    foundation: str, priority: int, address: str, protocol: str, port: int, tcp_type: str | None
) -> IceCandidate:
    passive: Literal["passive"] | None = "passive" if tcp_type == "PASSIVE" else None
    return IceCandidate(foundation, priority, address, "udp" if protocol == "UDP" else "tcp", port, tcp_type=passive)


def dtls_parameters_to_fbs(parameters: DtlsParameters) -> Body:
    instance("dtlsParameters", parameters, DtlsParameters)
    if not parameters.fingerprints:
        raise InvalidParameters("dtlsParameters.fingerprints: at least one is needed")
    return {
        "fingerprints": [
            {"algorithm": _algorithm(print_), "value": print_.value} for print_ in parameters.fingerprints
        ],
        "role": parameters.role.upper(),
    }


def _algorithm(fingerprint: DtlsFingerprint) -> str:
    name = FINGERPRINTS.get(fingerprint.algorithm)
    if name is None:
        raise InvalidParameters(f"algorithm: {fingerprint.algorithm!r} is none of {', '.join(FINGERPRINTS)}")
    return name


def dtls_parameters_from_fbs(body: Body) -> DtlsParameters:
    prints = tuple([_fingerprint(print_["algorithm"], print_["value"]) for print_ in body["fingerprints"]])
    return dtls_parameters_of(prints, body["role"])


@lru_cache(REMEMBERED)
def dtls_parameters_of(fingerprints: tuple[DtlsFingerprint, ...], role: str) -> DtlsParameters:
    """``role`` is as the worker spells it. Equal ones are one object."""
    return DtlsParameters(fingerprints, cast(DtlsRole, role.lower()))


@lru_cache(REMEMBERED)
def _fingerprint(algorithm: str, value: str) -> DtlsFingerprint:
    return DtlsFingerprint(ALGORITHMS[algorithm], value)
