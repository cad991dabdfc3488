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
    SrtpParameters,
    TransportTuple,
)
from worker_bridge.connectivity_fbs import (
    FINGERPRINTS,
    dtls_parameters_from_fbs,
    dtls_parameters_to_fbs,
    ice_candidate_from_fbs,
    ice_parameters_from_fbs,
    listen_info_to_fbs,
    srtp_from_fbs,
    srtp_to_fbs,
    transport_options_to_fbs,
    tuple_from_fbs,
)
from worker_bridge.errors import InvalidParameters
from worker_bridge.sctp import SctpOptions


def test_every_fingerprint_algorithm_has_its_name() -> None:
    assert FINGERPRINTS.keys() == set(get_args(FingerprintAlgorithm))
    assert len(set(FINGERPRINTS.values())) == len(FINGERPRINTS)


@pytest.mark.parametrize("role", get_args(DtlsRole))
def test_dtls_parameters_survive_the_journey(role: DtlsRole) -> None:
    prints = tuple(DtlsFingerprint(algorithm, "AB:CD") for algorithm in FINGERPRINTS)
    parameters = DtlsParameters(prints, role)
    assert dtls_parameters_from_fbs(dtls_parameters_to_fbs(parameters)) == parameters


def test_a_listen_info_has_every_field_of_the_schema() -> None:
    info = ListenInfo("tcp", "10.0.0.1", "voice.example", 4443, expose_internal_ip=True, send_buffer_size=1)
    assert listen_info_to_fbs(info) == {
        "protocol": "TCP",
        "ip": "10.0.0.1",
        "announced_address": "voice.example",
        "expose_internal_ip": True,
        "port": 4443,
        "port_range": {},
        "flags": {"ipv6_only": False, "udp_reuse_port": False},
        "send_buffer_size": 1,
        "recv_buffer_size": 0,
    }


def test_a_peer_that_is_not_known_yet_is_none() -> None:
    body = {"local_address": "127.0.0.1", "local_port": 5, "protocol": "UDP", "remote_ip": None, "remote_port": 0}
    assert tuple_from_fbs(body) == TransportTuple("127.0.0.1", 5, "udp")
    known = tuple_from_fbs({**body, "remote_ip": "10.0.0.2", "remote_port": 6})
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
    candidate = ice_candidate_from_fbs(body)
    assert candidate == IceCandidate(
        "udpcandidate",
        1,
        "10.0.0.1",
        "tcp" if tcp_type else "udp",
        4443,
        tcp_type=expected,  # type: ignore[arg-type]
    )
    assert candidate.type == "host"
    parameters = ice_parameters_from_fbs({"username_fragment": "u", "password": "p", "ice_lite": True})
    assert parameters == IceParameters("u", "p", ice_lite=True)


def test_a_listen_info_narrows_ports_and_sets_flags() -> None:
    wire = listen_info_to_fbs(ListenInfo("udp", "::1", port_range=(4000, 4010), ipv6_only=True, udp_reuse_port=True))
    assert wire["port_range"] == {"min": 4000, "max": 4010}
    assert wire["flags"] == {"ipv6_only": True, "udp_reuse_port": True}


def test_sctp_is_on_where_it_is_asked_for() -> None:
    assert transport_options_to_fbs()["enable_sctp"] is False
    options = transport_options_to_fbs(SctpOptions(max_send_message_size=5, send_buffer_size=6))
    assert (options["enable_sctp"], options["max_send_message_size"], options["sctp_send_buffer_size"]) == (True, 5, 6)
    direct = transport_options_to_fbs(SctpOptions(max_send_message_size=5), direct=True)
    assert (direct["enable_sctp"], direct["direct"], direct["max_send_message_size"]) == (False, True, 5)


def test_srtp_parameters_are_what_they_should_be() -> None:
    assert srtp_to_fbs(None) is srtp_from_fbs(None) is None
    parameters = SrtpParameters("AEAD_AES_256_GCM", "a2V5")
    assert srtp_from_fbs(srtp_to_fbs(parameters)) == parameters
    with pytest.raises(InvalidParameters, match="srtp_parameters: expected SrtpParameters, got dict"):
        srtp_to_fbs({"crypto_suite": "AEAD_AES_256_GCM"})  # type: ignore[arg-type]


def test_the_start_of_bandwidth_estimation_is_passed_on() -> None:
    assert transport_options_to_fbs(initial_available_outgoing_bitrate=5)["initial_available_outgoing_bitrate"] == 5
    assert transport_options_to_fbs()["initial_available_outgoing_bitrate"] is None
