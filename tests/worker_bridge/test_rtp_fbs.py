"""RTP values as the worker's dicts, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker_bridge.rtp_samples import ROUTER, camera, changed, microphone, simulcast
from worker_bridge import ortc
from worker_bridge.rtp import (
    CodecMapping,
    EncodingMapping,
    ParameterValue,
    RtcpParameters,
    RtpEncodingParameters,
    RtpMapping,
    parameters,
)
from worker_bridge.rtp_fbs import encodings_to_fbs, mapping_to_fbs, parameters_from_fbs, parameters_to_fbs


def test_parameters_are_written_as_the_schema_names_them() -> None:
    assert parameters_to_fbs(microphone()) == {
        "mid": "0",
        "codecs": [
            {
                "mime_type": "audio/opus",
                "payload_type": 111,
                "clock_rate": 48000,
                "channels": 2,
                "parameters": [
                    {"name": "minptime", "value_type": "Integer32", "value": {"value": 10}},
                    {"name": "usedtx", "value_type": "Integer32", "value": {"value": 1}},
                    {"name": "useinbandfec", "value_type": "Integer32", "value": {"value": 1}},
                ],
                "rtcp_feedback": [{"type": "transport-cc", "parameter": ""}, {"type": "nack", "parameter": ""}],
            }
        ],
        "header_extensions": [
            {"uri": "Mid", "id": 4, "encrypt": False, "parameters": []},
            {"uri": "AbsSendTime", "id": 2, "encrypt": False, "parameters": []},
            {"uri": "TransportWideCcDraft01", "id": 3, "encrypt": False, "parameters": []},
            {"uri": "SsrcAudioLevel", "id": 1, "encrypt": False, "parameters": []},
        ],
        "encodings": [{"ssrc": 1234567, "dtx": True}],
        "rtcp": {"cname": "Tqx3", "reduced_size": True},
        "msid": "stream track",
    }


def test_what_is_absent_is_not_written() -> None:
    assert encodings_to_fbs([RtpEncodingParameters()]) == [{"dtx": False}]
    wire = parameters_to_fbs(camera())
    assert "msid" not in wire
    assert wire["codecs"][0]["channels"] is None
    assert wire["encodings"] == [{"dtx": False, "ssrc": 2000, "rtx": {"ssrc": 2001}}]


def test_zero_is_not_absent() -> None:
    encoding = RtpEncodingParameters(ssrc=1, codec_payload_type=0, max_bitrate=0)
    expected = {"dtx": False, "ssrc": 1, "codec_payload_type": 0, "max_bitrate": 0}
    assert encodings_to_fbs([encoding]) == [expected]


@pytest.mark.parametrize(
    ("value", "member", "written"),
    [
        (1, "Integer32", 1),
        (1.0, "Integer32", 1),
        (-0.0, "Integer32", 0),
        (2.5, "Double", 2.5),
        ("", "String", ""),
        ("2", "String", "2"),
    ],
)
def test_a_codec_parameter_is_a_member_of_the_union(value: ParameterValue, member: str, written: object) -> None:
    wire = parameters_to_fbs(changed(microphone(), "codecs.0.parameters", parameters(x=value)))
    entry = wire["codecs"][0]["parameters"][0]
    assert entry == {"name": "x", "value_type": member, "value": {"value": written}}
    assert type(entry["value"]["value"]) is type(written)


def test_codecs_and_extensions_are_written_once() -> None:
    one, other = parameters_to_fbs(microphone()), parameters_to_fbs(changed(microphone(), "mid", "7"))
    assert one["codecs"] is other["codecs"]
    assert one["header_extensions"] is other["header_extensions"]
    assert (one["mid"], other["mid"]) == ("0", "7")


def test_a_mapping_is_written() -> None:
    mapping = RtpMapping((CodecMapping(111, 100),), (EncodingMapping(500, ssrc=1), EncodingMapping(501, rid="r")))
    assert mapping_to_fbs(mapping) == {
        "codecs": [{"payload_type": 111, "mapped_payload_type": 100}],
        "encodings": [{"rid": None, "ssrc": 1, "mapped_ssrc": 500}, {"rid": "r", "ssrc": None, "mapped_ssrc": 501}],
    }


values = st.one_of(st.text(max_size=9), st.integers(-(2**31), 2**31 - 1), st.floats(-1e9, 1e9))


@given(st.dictionaries(st.text(max_size=9), values, max_size=5))
def test_parameters_come_back_as_they_went(codec_parameters: dict[str, ParameterValue]) -> None:
    for sample in (microphone(), camera(), camera(encodings=simulcast("L1T3", "L1T3"))):
        params = changed(sample, "codecs.0.parameters", parameters(codec_parameters))
        assert parameters_from_fbs(parameters_to_fbs(params)) == params


def test_a_dump_says_absent_in_its_own_ways() -> None:
    dump = {
        "mid": "",
        "codecs": [
            {
                "mime_type": "audio/PCMU",
                "payload_type": 0,
                "clock_rate": 8000,
                "channels": None,
                "parameters": [],
                "rtcp_feedback": [{"type": "transport-cc", "parameter": None}],
            }
        ],
        "header_extensions": [],
        "encodings": [
            {
                "ssrc": 7,
                "rid": None,
                "codec_payload_type": 0,
                "rtx": None,
                "dtx": False,
                "scalability_mode": "",
                "max_bitrate": None,
            }
        ],
        "rtcp": {"cname": "c", "reduced_size": True},
        "msid": "",
    }
    params = parameters_from_fbs(dump)
    assert (params.mid, params.msid, params.rtcp) == (None, None, RtcpParameters("c"))
    assert params.codecs[0].channels == 1
    assert params.codecs[0].rtcp_feedback[0].parameter == ""
    assert params.encodings == (RtpEncodingParameters(ssrc=7, codec_payload_type=0),)


def test_what_a_consumer_gets_can_be_written() -> None:
    params, mapping = ortc.producer_mapping(ortc.validate_parameters(camera()), ROUTER)
    consumable = ortc.consumable_parameters("video", params, ROUTER, mapping)
    consumer = ortc.consumer_parameters(consumable, ROUTER, enable_rtx=True)
    wire = parameters_to_fbs(consumer)
    assert parameters_from_fbs(wire) == consumer
    assert wire["encodings"][0]["rtx"] == {"ssrc": wire["encodings"][0]["ssrc"] + 1}
