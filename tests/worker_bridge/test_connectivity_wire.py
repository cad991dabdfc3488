"""Connectivity values in the schema's words and back, as the codec itself accepts and answers them."""

from __future__ import annotations

from typing import get_args

import pytest

from worker_bridge.connectivity import (
    DtlsFingerprint,
    DtlsParameters,
    DtlsRole,
    FingerprintAlgorithm,
    IceCandidate,
    IceParameters,
    ListenInfo,
    TransportTuple,
)
from worker_bridge.wire import (
    FINGERPRINTS,
    dtls_parameters_from_wire,
    dtls_parameters_to_wire,
    ice_candidate_from_wire,
    ice_parameters_from_wire,
    listen_info_to_wire,
    transport_options_to_wire,
    tuple_from_wire,
)


def test_every_fingerprint_algorithm_has_its_name() -> None:
    assert FINGERPRINTS.keys() == set(get_args(FingerprintAlgorithm))
    assert len(set(FINGERPRINTS.values())) == len(FINGERPRINTS)


@pytest.mark.parametrize("role", get_args(DtlsRole))
def test_dtls_parameters_survive_the_journey(role: DtlsRole) -> None:
    prints = tuple(DtlsFingerprint(algorithm, "AB:CD") for algorithm in FINGERPRINTS)
    parameters = DtlsParameters(prints, role)
    assert dtls_parameters_from_wire(dtls_parameters_to_wire(parameters)) == parameters


def test_a_listen_info_has_every_field_of_the_schema() -> None:
    info = ListenInfo("tcp", "10.0.0.1", "voice.example", 4443, expose_internal_ip=True, send_buffer_size=1)
    assert listen_info_to_wire(info) == {
        "protocol": "TCP",
        "ip": "10.0.0.1",
        "announced_address": "voice.example",
        "expose_internal_ip": True,
        "port": 4443,
        "port_range": {},
        "flags": {},
        "send_buffer_size": 1,
        "recv_buffer_size": 0,
    }


def test_a_peer_that_is_not_known_yet_is_none() -> None:
    body = {"local_address": "127.0.0.1", "local_port": 5, "protocol": "UDP", "remote_ip": None, "remote_port": 0}
    assert tuple_from_wire(body) == TransportTuple("127.0.0.1", 5, "udp")
    known = tuple_from_wire({**body, "remote_ip": "10.0.0.2", "remote_port": 6})
    assert (known.remote_ip, known.remote_port) == ("10.0.0.2", 6)


@pytest.mark.parametrize(("tcp_type", "expected"), [(None, None), ("PASSIVE", "passive")])
def test_ice_is_read_as_browsers_word_it(tcp_type: str | None, expected: str | None) -> None:
    body = {
        "foundation": "udpcandidate",
        "priority": 1,
        "address": "10.0.0.1",
        "protocol": "TCP" if tcp_type else "UDP",
        "port": 4443,
        "type": "HOST",
        "tcp_type": tcp_type,
    }
    candidate = ice_candidate_from_wire(body)
    assert candidate == IceCandidate(
        "udpcandidate",
        1,
        "10.0.0.1",
        "tcp" if tcp_type else "udp",
        4443,
        tcp_type=expected,  # type: ignore[arg-type]
    )
    assert candidate.type == "host"
    parameters = ice_parameters_from_wire({"username_fragment": "u", "password": "p", "ice_lite": True})
    assert parameters == IceParameters("u", "p", ice_lite=True)


def test_sctp_stays_off() -> None:
    options = transport_options_to_wire(initial_available_outgoing_bitrate=None)
    assert "enable_sctp" not in options
    assert options["initial_available_outgoing_bitrate"] is None
