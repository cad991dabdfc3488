"""What may come near the worker, what may not, and where the refusal points."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.worker_bridge.rtp_samples import OPUS, ROUTER, VP8, camera, changed, codec, microphone, rtx, simulcast
from worker_bridge.capabilities import MID, SUPPORTED
from worker_bridge.errors import InvalidParameters
from worker_bridge.ortc import validate_capabilities, validate_parameters
from worker_bridge.rtp import (
    RtcpFeedback,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecCapability,
    RtpEncodingParameters,
    RtpHeaderExtension,
    RtpHeaderExtensionParameters,
    RtpParameters,
    RtxParameters,
    parameters,
)

HALF_A_PAIR = "\ud800"
CODEC = "codecs.0."


def test_what_is_normal_already_stays_as_it_is() -> None:
    for params in (microphone(), camera()):
        assert validate_parameters(params) == params


def test_defaults_are_filled_in() -> None:
    given = RtpParameters(
        codecs=(codec("audio/PCMU", 0, 8000, parameters=parameters(b=1.0, a=2.5)),),
        encodings=(RtpEncodingParameters(ssrc=1, scalability_mode=""),),
        rtcp=RtcpParameters("c", reduced_size=False),
        mid="",
        msid="",
    )
    checked = validate_parameters(given)
    assert checked.codecs[0].channels == 1
    assert checked.codecs[0].parameters == parameters(a=2.5, b=1)
    assert type(dict(checked.codecs[0].parameters)["b"]) is int
    assert checked.encodings[0].scalability_mode is None
    assert checked.rtcp == RtcpParameters("c", reduced_size=True)
    assert checked.mid is None
    assert checked.msid is None


def test_lists_and_dicts_are_taken_for_what_they_hold() -> None:
    [opus] = microphone().codecs
    loose: Any = replace(opus, parameters=dict(opus.parameters), rtcp_feedback=list(opus.rtcp_feedback))
    given: Any = replace(microphone(), codecs=[loose], header_extensions=list(microphone().header_extensions))
    assert validate_parameters(given) == validate_parameters(microphone())
    assert hash(validate_parameters(given)) == hash(validate_parameters(microphone()))
    caps: Any = RtpCapabilities([replace(OPUS, parameters={"minptime": 10})])  # type: ignore[arg-type]
    assert validate_capabilities(caps).codecs[0].parameters == parameters(minptime=10)


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("codecs", "opus", "codecs"),
        ("codecs", None, "codecs"),
        ("codecs.0", {"mime_type": "audio/opus"}, "codecs.0"),
        ("codecs.0", OPUS, "codecs.0"),
        ("codecs.0.parameters", 5, CODEC + "parameters"),
        ("codecs.0.rtcp_feedback", ("nack",), CODEC + "rtcpFeedback.0"),
        ("header_extensions", {1: 2}, "headerExtensions"),
        ("header_extensions.0", MID, "headerExtensions.0"),
        ("encodings", RtpEncodingParameters(1), "encodings"),
        ("encodings.0", {"ssrc": 1}, "encodings.0"),
        ("encodings.0.rtx", 7, "encodings.0.rtx"),
        ("rtcp", None, "rtcp"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_path(field: str, value: Any, path: str) -> None:
    with pytest.raises(InvalidParameters, match=rf"^{path}: "):
        validate_parameters(changed(microphone(), field, value))


def test_what_are_no_parameters_or_capabilities_is_refused() -> None:
    for nonsense in (None, {}, "", SUPPORTED.codecs):
        with pytest.raises(InvalidParameters, match=r"^rtpParameters: expected RtpParameters"):
            validate_parameters(nonsense)  # type: ignore[arg-type]
        with pytest.raises(InvalidParameters):
            validate_capabilities(nonsense)  # type: ignore[arg-type]


def test_an_empty_cname_is_none_because_clients_say_so_where_sdp_has_none() -> None:
    assert validate_parameters(replace(microphone(), rtcp=RtcpParameters(""))).rtcp.cname is None


def test_video_has_no_channels() -> None:
    params = camera(codec("video/VP8", 96, channels=2))
    assert validate_parameters(params).codecs[0].channels is None


def test_the_kind_is_compared_where_it_is_given() -> None:
    assert validate_parameters(microphone(), "audio") == microphone()
    with pytest.raises(InvalidParameters, match=r"^codecs\.0\.mimeType: "):
        validate_parameters(microphone(), "video")


@pytest.mark.parametrize("payload_type", [0, 35, 127])
def test_all_seven_bits_are_payload_types(payload_type: int) -> None:
    params = changed(microphone(), "codecs.0.payload_type", payload_type)
    assert validate_parameters(params).codecs[0].payload_type == payload_type


BAD_FIELDS: list[tuple[str, Any, str]] = [
    ("codecs", (), "codecs"),
    ("codecs.0.mime_type", "", CODEC + "mimeType"),
    ("codecs.0.mime_type", "opus", CODEC + "mimeType"),
    ("codecs.0.mime_type", "audio/", CODEC + "mimeType"),
    ("codecs.0.mime_type", "text/opus", CODEC + "mimeType"),
    ("codecs.0.mime_type", "audio/opus\n", CODEC + "mimeType"),
    ("codecs.0.mime_type", "audio/o\0pus", CODEC + "mimeType"),
    ("codecs.0.mime_type", "audio/" + "x" * 65, CODEC + "mimeType"),
    *(("codecs.0.payload_type", value, CODEC + "payloadType") for value in (-1, 128, 300, True, 111.0, None)),
    *(("codecs.0.clock_rate", value, CODEC + "clockRate") for value in (0, -1, 2**32, True, 48000.0, None)),
    *(("codecs.0.channels", value, CODEC + "channels") for value in (0, 256, -2, True, 2.0)),
    ("codecs.0.parameters", parameters(x=True), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x=False), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x=2**31), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x=-(2**31) - 1), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x=10**5000), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x=1e10), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x=float("nan")), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x=float("inf")), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x=None), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x="a\0b"), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x=HALF_A_PAIR), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(x="y" * 1025), CODEC + "parameters.x"),
    ("codecs.0.parameters", parameters(apt="96"), CODEC + "parameters.apt"),
    ("codecs.0.parameters", parameters(apt=96.5), CODEC + "parameters.apt"),
    ("codecs.0.parameters", parameters({HALF_A_PAIR: 1}), CODEC + "parameters"),
    ("codecs.0.parameters", parameters({"a: b": True}), CODEC + "parameters"),
    ("codecs.0.parameters", parameters({f"x{i}": i for i in range(65)}), CODEC + "parameters"),
    ("codecs.0.rtcp_feedback", (RtcpFeedback(""),), CODEC + "rtcpFeedback.0.type"),
    ("codecs.0.rtcp_feedback", (RtcpFeedback("a\0"),), CODEC + "rtcpFeedback.0.type"),
    ("codecs.0.rtcp_feedback", (RtcpFeedback("a", "\0"),), CODEC + "rtcpFeedback.0.parameter"),
    ("codecs.0.rtcp_feedback", (RtcpFeedback("a"),) * 65, CODEC + "rtcpFeedback"),
    ("header_extensions.2.uri", "urn:ietf:params:rtp-hdrext:of-tomorrow", "headerExtensions.2.uri"),
    ("header_extensions.2.uri", "", "headerExtensions.2.uri"),
    ("header_extensions.2.uri", MID, "headerExtensions.2.uri"),
    ("header_extensions.2.id", 4, "headerExtensions.2.id"),
    *(("header_extensions.2.id", value, "headerExtensions.2.id") for value in (0, 256, -1, True, 3.0)),
    ("header_extensions.2.encrypt", 1, "headerExtensions.2.encrypt"),
    ("header_extensions.2.parameters", parameters(x=True), "headerExtensions.2.parameters.x"),
    ("encodings", (), "encodings"),
    *(("encodings.0.ssrc", value, "encodings.0.ssrc") for value in (0, -1, 2**32, True, 1.0)),
    *(("encodings.0.rtx", RtxParameters(value), "encodings.0.rtx.ssrc") for value in (0, 2**32, True, 1234567)),
    *(("encodings.0.rid", value, "encodings.0.rid") for value in ("a\0", HALF_A_PAIR, "r" * 256, 7)),
    ("encodings.0.dtx", 1, "encodings.0.dtx"),
    *(("encodings.0.max_bitrate", value, "encodings.0.maxBitrate") for value in (-1, 2**63, 0.5, True)),
    *(("encodings.0.codec_payload_type", value, "encodings.0.codecPayloadType") for value in (112, 128, True)),
    ("encodings.0.scalability_mode", "L1T3", "encodings.0.scalabilityMode"),  # Opus has no layers
    ("rtcp.cname", "a\0b", "rtcp.cname"),
    ("rtcp.cname", HALF_A_PAIR, "rtcp.cname"),
    ("rtcp.cname", "c" * 256, "rtcp.cname"),
    ("mid", "m" * 256, "mid"),
    ("mid", "三" * 86, "mid"),  # 258 bytes
    ("mid", "0\0", "mid"),
    ("mid", HALF_A_PAIR, "mid"),
    ("msid", "a\0b", "msid"),
    ("msid", "m" * 1025, "msid"),
]


@pytest.mark.parametrize(("field", "value", "path"), BAD_FIELDS)
def test_a_bad_field_is_refused_with_its_path(field: str, value: Any, path: str) -> None:
    validate_parameters(microphone())  # so that a memory is there to be fooled by a look-alike
    with pytest.raises(InvalidParameters) as refusal:
        validate_parameters(changed(microphone(), field, value))
    assert str(refusal.value).startswith(f"{path}: ")
    assert str(refusal.value).isascii()  # it will be written as JSON
    assert len(str(refusal.value)) < 300


BAD_CAMERAS: list[tuple[RtpParameters, str]] = [
    (camera(codec("video/VP8", 96), codec("video/VP9", 96)), "codecs.1.payloadType"),
    (camera(codec("video/VP8", 96), codec("audio/opus", 111, 48000)), "codecs.1.mimeType"),
    (camera(codec("video/VP8", 96), codec("video/rtx", 97)), "codecs.1.parameters.apt"),
    (camera(codec("video/VP8", 96), rtx(97, 98)), "codecs.1.parameters.apt"),
    (camera(codec("video/VP8", 96), rtx(97, 97)), "codecs.1.parameters.apt"),
    (camera(codec("video/VP8", 96), rtx(97, 96), rtx(98, 97)), "codecs.2.parameters.apt"),
    (camera(codec("video/VP8", 96), codec("video/ulpfec", 117), rtx(97, 117)), "codecs.2.parameters.apt"),
    (camera(codec("video/VP8", 96), rtx(97, 96, 8000)), "codecs.1.clockRate"),
    (camera(rtx(97, 96)), "codecs.0.parameters.apt"),
    (camera(codec("video/ulpfec", 117)), "codecs"),
    (camera(*(codec(f"video/x{i}", i % 128) for i in range(129))), "codecs"),
    (camera(encodings=simulcast("L1T1", "L1T1")[:1] * 2), "encodings.1.rid"),
    (camera(encodings=(*simulcast(None), RtpEncodingParameters())), "encodings.1"),
    (camera(encodings=(RtpEncodingParameters(1), RtpEncodingParameters(1))), "encodings.1.ssrc"),
    (camera(encodings=(RtpEncodingParameters(1, rtx=RtxParameters(2)), RtpEncodingParameters(2))), "encodings.1.ssrc"),
    (
        camera(
            encodings=(RtpEncodingParameters(1, rtx=RtxParameters(2)), RtpEncodingParameters(3, rtx=RtxParameters(2)))
        ),
        "encodings.1.rtx",
    ),
    (
        camera(encodings=(RtpEncodingParameters(1), RtpEncodingParameters(3, rtx=RtxParameters(3)))),
        "encodings.1.rtx.ssrc",
    ),
    (camera(encodings=simulcast(*["L1T1"] * 9)), "encodings"),
    (camera(encodings=simulcast("L1T3", "L2T3")), "encodings.1.scalabilityMode"),
    (camera(encodings=(RtpEncodingParameters(1, codec_payload_type=97),)), "encodings.0.codecPayloadType"),
    (camera(codec("video/VP9", 98), encodings=simulcast(None, None)), "encodings"),
    (camera(codec("video/AV1", 45), encodings=simulcast(None, None)), "encodings"),
    *(
        (camera(encodings=(RtpEncodingParameters(1, scalability_mode=mode),)), "encodings.0.scalabilityMode")
        for mode in ("L9T1", "L1T9", "L1", "M1T1", "L0T1", "L1T1\n", "l1t1", "L1T1" + "A" * 30_000)
    ),
]


@pytest.mark.parametrize(("params", "path"), BAD_CAMERAS)
def test_fields_that_disagree_are_refused_with_the_path_of_one(params: RtpParameters, path: str) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        validate_parameters(params)
    assert str(refusal.value).startswith(path)


def test_audio_has_one_encoding() -> None:
    with pytest.raises(InvalidParameters, match=r"^encodings: .*opus"):
        validate_parameters(replace(microphone(), encodings=simulcast(None, None)))


def test_comfort_noise_and_dtmf_alone_are_no_media() -> None:
    params = replace(microphone(), codecs=(codec("audio/CN", 13, 8000), codec("audio/telephone-event", 101, 8000)))
    with pytest.raises(InvalidParameters, match=r"^codecs: there is no media codec"):
        validate_parameters(params)


def test_packets_must_be_recognisable_by_something() -> None:
    bare = replace(microphone(), encodings=(RtpEncodingParameters(),))
    assert validate_parameters(bare).mid == "0"
    with pytest.raises(InvalidParameters, match=r"^encodings\.0: .*mid"):
        validate_parameters(replace(bare, mid=None))
    for encoding in (RtpEncodingParameters(ssrc=1), RtpEncodingParameters(rid="r")):
        assert validate_parameters(replace(bare, mid=None, encodings=(encoding,))).encodings == (encoding,)


@pytest.mark.parametrize("mode", ["L1T1", "L1T3", "L3T3_KEY", "S3T3", "L3T2_KEY_SHIFT", "L2T1h", "L8T8"])
def test_scalability_modes_of_one_stream_pass(mode: str) -> None:
    encodings = (RtpEncodingParameters(ssrc=1, scalability_mode=mode),)
    assert validate_parameters(camera(codec("video/VP9", 98), encodings=encodings)).encodings == encodings


def test_an_encoding_may_name_a_codec_that_is_not_the_first() -> None:
    codecs = (codec("video/VP9", 98), codec("video/VP8", 96))
    named = tuple(replace(encoding, codec_payload_type=96) for encoding in simulcast(None, None))
    assert validate_parameters(camera(*codecs, encodings=named)).encodings == named


def test_equal_codecs_of_several_requests_are_checked_once_and_shared() -> None:
    one, other = validate_parameters(microphone()), validate_parameters(changed(microphone(), "encodings.0.ssrc", 99))
    assert one.codecs is other.codecs
    assert one.header_extensions is other.header_extensions
    assert other.encodings[0].ssrc == 99


def test_what_equals_a_remembered_value_without_being_it_is_still_refused() -> None:
    audio = replace(microphone(), codecs=(codec("audio/PCMU", 1, 8000, channels=1, parameters=parameters(x=1)),))
    validate_parameters(audio)
    for field in ("payload_type", "channels"):
        with pytest.raises(InvalidParameters, match=r"^codecs\.0\."):
            validate_parameters(changed(audio, f"codecs.0.{field}", True))
    with pytest.raises(InvalidParameters, match=r"^codecs\.0\.parameters\.x: True"):
        validate_parameters(changed(audio, "codecs.0.parameters", parameters(x=True)))
    whole = validate_parameters(changed(audio, "codecs.0.parameters", parameters(x=1.0)))
    assert type(dict(whole.codecs[0].parameters)["x"]) is int


def test_capabilities_keep_what_the_worker_does_not_know() -> None:
    tomorrow = RtpHeaderExtension("urn:of-tomorrow", 14)
    caps = RtpCapabilities((OPUS, RtpCodecCapability("video", "video/H266", 90000, 39)), (tomorrow,))
    assert validate_capabilities(caps) == caps


def test_capabilities_get_the_kind_of_their_mime_type_and_channels() -> None:
    caps = RtpCapabilities(
        (RtpCodecCapability("video", "AUDIO/PCMU", 8000), RtpCodecCapability("audio", "video/VP8", 90000, channels=2))
    )
    audio, video = validate_capabilities(caps).codecs
    assert (audio.kind, audio.channels) == ("audio", 1)
    assert (video.kind, video.channels) == ("video", None)


def test_equal_capabilities_are_one_object() -> None:
    def caps() -> RtpCapabilities:
        return RtpCapabilities((RtpCodecCapability("audio", "audio/opus", 48000, 100, 2),))

    assert validate_capabilities(caps()) is validate_capabilities(caps())
    assert validate_capabilities(SUPPORTED) == SUPPORTED
    assert validate_capabilities(ROUTER) == ROUTER


@pytest.mark.parametrize(
    ("field", "value", "path"),
    [
        ("codecs.0.mime_type", "opus", "codecs.0.mimeType"),
        ("codecs.0.preferred_payload_type", 128, "codecs.0.preferredPayloadType"),
        ("codecs.0.preferred_payload_type", True, "codecs.0.preferredPayloadType"),
        ("codecs.0.clock_rate", 0, "codecs.0.clockRate"),
        ("codecs.0.channels", 300, "codecs.0.channels"),
        ("codecs.0.parameters", parameters(x=True), "codecs.0.parameters.x"),
        ("codecs.0.parameters", parameters(apt="100"), "codecs.0.parameters.apt"),
        ("codecs.0.rtcp_feedback", (RtcpFeedback("\0"),), "codecs.0.rtcpFeedback.0.type"),
        ("codecs", (VP8,) * 257, "codecs"),
        ("header_extensions.0.uri", "", "headerExtensions.0.uri"),
        ("header_extensions.0.preferred_id", 0, "headerExtensions.0.preferredId"),
        ("header_extensions.0.preferred_id", True, "headerExtensions.0.preferredId"),
        ("header_extensions.0.preferred_encrypt", 0, "headerExtensions.0.preferredEncrypt"),
        ("header_extensions.0.kind", "both", "headerExtensions.0.kind"),
        ("header_extensions.0.direction", "sideways", "headerExtensions.0.direction"),
    ],
)
def test_bad_capabilities_are_refused_with_the_path(field: str, value: Any, path: str) -> None:
    good = RtpCapabilities((replace(OPUS, preferred_payload_type=1),), (RtpHeaderExtension(MID, 1),))
    validate_capabilities(good)
    with pytest.raises(InvalidParameters) as refusal:
        validate_capabilities(changed(good, field, value))
    assert str(refusal.value).startswith(f"{path}: ")


def test_extensions_may_have_any_id_of_two_byte_headers() -> None:
    params = replace(microphone(), header_extensions=(RtpHeaderExtensionParameters(MID, 255),))
    assert validate_parameters(params) == params
