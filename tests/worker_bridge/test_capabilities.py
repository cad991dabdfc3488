"""The worker's capabilities, and what a scalability mode says."""

from __future__ import annotations

from collections import Counter

import pytest

from worker_bridge.capabilities import DYNAMIC_PAYLOAD_TYPES, MID, SUPPORTED
from worker_bridge.ortc import validate_capabilities
from worker_bridge.rtp_fbs import HEADER_EXTENSION_NAMES
from worker_bridge.scalability import ScalabilityMode, parse_scalability_mode


def test_the_worker_has_21_audio_and_4_video_codecs() -> None:
    assert Counter(codec.kind for codec in SUPPORTED.codecs) == {"audio": 21, "video": 4}


def test_every_supported_header_extension_has_a_name_on_the_wire_and_the_other_way_round() -> None:
    assert len(SUPPORTED.header_extensions) == 18
    assert {extension.uri for extension in SUPPORTED.header_extensions} == HEADER_EXTENSION_NAMES.keys()


def test_an_extension_has_one_id_whatever_the_kind() -> None:
    ids = {(extension.uri, extension.preferred_id) for extension in SUPPORTED.header_extensions}
    assert len(ids) == len({uri for uri, _ in ids}) == len({number for _, number in ids}) == 12


def test_they_are_normal() -> None:
    assert validate_capabilities(SUPPORTED) == SUPPORTED
    assert all((codec.channels is None) == (codec.kind == "video") for codec in SUPPORTED.codecs)


def test_static_payload_types_are_those_of_rfc_3551() -> None:
    static = {(codec.mime_type, codec.preferred_payload_type) for codec in SUPPORTED.codecs}
    assert {("audio/PCMU", 0), ("audio/PCMA", 8), ("audio/G722", 9), ("audio/CN", 13)} <= static


def test_directions_are_the_routers() -> None:
    directions = {(ext.kind, ext.preferred_id): ext.direction for ext in SUPPORTED.header_extensions}
    recvonly = {key for key, direction in directions.items() if direction == "recvonly"}
    assert recvonly == {("video", 2), ("video", 3), ("audio", 5), ("video", 7)}
    assert SUPPORTED.header_extensions[0].uri == MID


def test_dynamic_payload_types_start_at_100() -> None:
    assert DYNAMIC_PAYLOAD_TYPES[0] == 100
    assert DYNAMIC_PAYLOAD_TYPES[-4:] == (96, 97, 98, 99)
    assert sorted(DYNAMIC_PAYLOAD_TYPES) == list(range(96, 128))


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("L1T3", ScalabilityMode(1, 3)),
        ("L3T2_KEY", ScalabilityMode(3, 2, ksvc=True)),
        ("S2T3", ScalabilityMode(2, 3)),
        ("L3T3_KEY_SHIFT", ScalabilityMode(3, 3, ksvc=True)),
        ("L12T34", ScalabilityMode(12, 34)),
        ("L20T3", ScalabilityMode(20, 3)),
        ("L4T7_KEY_SHIFT", ScalabilityMode(4, 7, ksvc=True)),
        *((mode, ScalabilityMode(1, 1)) for mode in (None, "", "foo", "L0T3", "L1", "T3", "l1t3", " L1T3", "L100T1")),
    ],
)
def test_a_scalability_mode_is_read(mode: str | None, expected: ScalabilityMode) -> None:
    assert parse_scalability_mode(mode) == expected
