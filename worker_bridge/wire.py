"""Connectivity values as the worker's schema has them, and back: enum names, tuples, listen infos."""

from __future__ import annotations

from worker_bridge.channel import Body
from worker_bridge.connectivity import (
    DtlsFingerprint,
    DtlsParameters,
    FingerprintAlgorithm,
    IceCandidate,
    IceParameters,
    ListenInfo,
    TransportTuple,
)

FINGERPRINTS: dict[FingerprintAlgorithm, str] = {
    "sha-1": "SHA1",
    "sha-224": "SHA224",
    "sha-256": "SHA256",
    "sha-384": "SHA384",
    "sha-512": "SHA512",
}
ALGORITHMS = {name: algorithm for algorithm, name in FINGERPRINTS.items()}


def listen_info_to_wire(info: ListenInfo) -> Body:
    return {
        "protocol": info.protocol.upper(),
        "ip": info.ip,
        "announced_address": info.announced_address,
        "expose_internal_ip": info.expose_internal_ip,
        "port": info.port,
        "port_range": {},
        "flags": {},
        "send_buffer_size": info.send_buffer_size,
        "recv_buffer_size": info.recv_buffer_size,
    }


def transport_options_to_wire(*, initial_available_outgoing_bitrate: int | None) -> Body:
    """The options that every transport has; SCTP stays off for audio calls. Bits per second."""
    return {
        "initial_available_outgoing_bitrate": initial_available_outgoing_bitrate,
        "max_send_message_size": 262_144,
        "max_receive_message_size": 262_144,
        "sctp_send_buffer_size": 2_000_000,
        "sctp_per_stream_send_queue_limit": 2_000_000,
        "sctp_max_receiver_window_buffer_size": 5_242_880,
        "sctp_default_stream_buffered_amount_low_threshold": 1024,
    }


def tuple_from_wire(body: Body) -> TransportTuple:
    return TransportTuple(
        local_address=body["local_address"],
        local_port=body["local_port"],
        protocol=body["protocol"].lower(),
        remote_ip=body["remote_ip"] or None,
        remote_port=body["remote_port"] or None,
    )


def ice_parameters_from_wire(body: Body) -> IceParameters:
    return IceParameters(body["username_fragment"], body["password"], body["ice_lite"])


def ice_candidate_from_wire(body: Body) -> IceCandidate:
    return IceCandidate(
        foundation=body["foundation"],
        priority=body["priority"],
        address=body["address"],
        protocol=body["protocol"].lower(),
        port=body["port"],
        tcp_type="passive" if body["tcp_type"] == "PASSIVE" else None,
    )


def dtls_parameters_to_wire(parameters: DtlsParameters) -> Body:
    return {
        "fingerprints": [
            {"algorithm": FINGERPRINTS[print_.algorithm], "value": print_.value} for print_ in parameters.fingerprints
        ],
        "role": parameters.role.upper(),
    }


def dtls_parameters_from_wire(body: Body) -> DtlsParameters:
    prints = tuple(DtlsFingerprint(ALGORITHMS[print_["algorithm"]], print_["value"]) for print_ in body["fingerprints"])
    return DtlsParameters(prints, body["role"].lower())
