"""What goes with what: routers and producers."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.worker_bridge.rtp_samples import (
    CC,
    FIR,
    NACK,
    OPUS,
    PCMU,
    PLI,
    REMB,
    ROUTER,
    VP8,
    VP9,
    camera,
    changed,
    codec,
    consumable,
    h264_codec,
    h264_parameters,
    microphone,
    names,
    produced,
    rtx,
    simulcast,
    uris,
)
from worker_bridge import ortc
from worker_bridge.capabilities import (
    ABS_CAPTURE_TIME,
    ABS_SEND_TIME,
    MID,
    PACKET_ID,
    PLAYOUT_DELAY,
    SSRC_AUDIO_LEVEL,
    SUPPORTED,
    TIME_OFFSET,
    TRANSPORT_CC,
    VIDEO_ORIENTATION,
)
from worker_bridge.errors import InvalidParameters, Unsupported
from worker_bridge.rtp import (
    CodecMapping,
    RtcpFeedback,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecCapability,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpParameters,
    RtxParameters,
    parameters,
)


class TestRouterCapabilities:
    def test_a_router_numbers_its_codecs_and_adds_rtx(self) -> None:
        given = [
            replace(OPUS, parameters=parameters(useinbandfec=1, foo="bar"), rtcp_feedback=(RtcpFeedback("ignored"),)),
            replace(VP8, preferred_payload_type=125),
            h264_codec("42e01f", foo="bar"),
        ]
        caps = ortc.router_capabilities(given)
        opus, vp8, vp8_rtx, h264, h264_rtx = caps.codecs
        assert opus == replace(
            OPUS,
            preferred_payload_type=100,
            parameters=parameters(useinbandfec=1, foo="bar"),
            rtcp_feedback=(NACK, CC),
        )
        assert (vp8.preferred_payload_type, vp8.rtcp_feedback) == (125, (NACK, PLI, FIR, REMB, CC))
        assert vp8_rtx == RtpCodecCapability("video", "video/rtx", 90000, 101, None, parameters(apt=125))
        assert h264.preferred_payload_type == 102
        assert dict(h264.parameters) == {"level-asymmetry-allowed": 1, "profile-level-id": "42e01f", "foo": "bar"}
        assert h264_rtx.parameters == parameters(apt=102)
        assert caps.header_extensions == SUPPORTED.header_extensions

    def test_static_payload_types_are_kept_and_zero_is_one(self) -> None:
        pcma = RtpCodecCapability("audio", "audio/pcma", 8000)
        caps = ortc.router_capabilities([PCMU, pcma, replace(OPUS, preferred_payload_type=0 + 96)])
        assert [entry.preferred_payload_type for entry in caps.codecs] == [0, 8, 96]
        assert caps.codecs[1].mime_type == "audio/PCMA"  # the worker's spelling
        assert ortc.router_capabilities([replace(OPUS, preferred_payload_type=0)]).codecs[0].preferred_payload_type == 0

    def test_dynamic_payload_types_run_from_100_to_127_and_then_from_96(self) -> None:
        caps = ortc.router_capabilities([OPUS] * 32)
        assert [entry.preferred_payload_type for entry in caps.codecs] == [*range(100, 128), 96, 97, 98, 99]

    def test_a_preferred_dynamic_payload_type_is_taken_out_of_the_run(self) -> None:
        caps = ortc.router_capabilities([replace(OPUS, preferred_payload_type=100), OPUS])
        assert [entry.preferred_payload_type for entry in caps.codecs] == [100, 101]

    def test_no_codecs_are_no_error(self) -> None:
        assert ortc.router_capabilities([]).codecs == ()

    def test_equal_codecs_give_the_same_object(self) -> None:
        assert ortc.router_capabilities([replace(OPUS)]) is ortc.router_capabilities([replace(OPUS)])

    def test_multiopus_is_told_apart_by_its_streams(self) -> None:
        quad = parameters(channel_mapping="0,1,2,3", num_streams=2, coupled_streams=2)
        multiopus = RtpCodecCapability("audio", "audio/multiopus", 48000, channels=4, parameters=quad)
        assert ortc.router_capabilities([multiopus]).codecs[0].parameters == quad
        for wrong in (parameters(num_streams=4, coupled_streams=2), parameters(num_streams=2), parameters()):
            with pytest.raises(Unsupported):
                ortc.router_capabilities([replace(multiopus, parameters=wrong)])

    @pytest.mark.parametrize(
        "unknown",
        [
            RtpCodecCapability("audio", "audio/chicken", 8000, channels=4),
            replace(OPUS, channels=1),
            replace(OPUS, channels=None),
            replace(OPUS, clock_rate=44100),
            RtpCodecCapability("video", "video/opus", 48000),
            RtpCodecCapability("video", "video/rtx", 90000, parameters=parameters(apt=100)),
        ],
    )
    def test_a_codec_that_the_worker_lacks_is_unsupported(self, unknown: RtpCodecCapability) -> None:
        with pytest.raises(Unsupported, match=r"^codecs\.1: "):
            ortc.router_capabilities([OPUS, unknown])

    @pytest.mark.parametrize(
        ("codecs", "path"),
        [
            ([OPUS] * 33, "codecs.32: "),
            ([VP8] * 17, "codecs.16: "),
            ([replace(OPUS, preferred_payload_type=7), replace(OPUS, preferred_payload_type=7)], "codecs.1.preferred"),
            ([OPUS, replace(OPUS, preferred_payload_type=100)], "codecs.1.preferredPayloadType: "),
            ([PCMU, PCMU], "codecs.1.preferredPayloadType: "),
            ([replace(OPUS, mime_type="opus")], "codecs.0.mimeType: "),
            ([replace(OPUS, preferred_payload_type=128)], "codecs.0.preferredPayloadType: "),
        ],
    )
    def test_bad_or_clashing_values_are_refused(self, codecs: list[RtpCodecCapability], path: str) -> None:
        with pytest.raises(InvalidParameters) as refusal:
            ortc.router_capabilities(codecs)
        assert str(refusal.value).startswith(path)


class TestProducerMapping:
    def test_payload_types_and_ssrcs_are_mapped(self) -> None:
        params, mapping, _ = produced(microphone())
        assert params == microphone()
        assert mapping.codecs == (CodecMapping(111, 100),)
        (encoding,) = mapping.encodings
        assert (encoding.ssrc, encoding.rid) == (1234567, None)
        assert 100_000_000 <= encoding.mapped_ssrc < 1_000_000_000

    def test_mapped_ssrcs_are_random_and_count_up(self) -> None:
        params = camera(encodings=simulcast(None, None, None))
        bases = set()
        for _ in range(20):
            _, mapping = ortc.producer_mapping(ortc.validate_parameters(params), ROUTER)
            ssrcs = [encoding.mapped_ssrc for encoding in mapping.encodings]
            assert ssrcs == list(range(ssrcs[0], ssrcs[0] + 3))
            bases.add(ssrcs[0])
        assert len(bases) > 1
        assert [encoding.rid for encoding in mapping.encodings] == ["r0", "r1", "r2"]

    def test_rtx_is_mapped_to_the_rtx_of_its_codec(self) -> None:
        router = ortc.router_capabilities([OPUS, VP8, VP9])
        params = camera(rtx(99, 98), codec("video/VP9", 98), codec("video/VP8", 96), rtx(97, 96))
        mapping = produced(params, router)[1]
        mapped = {entry.payload_type: entry.mapped_payload_type for entry in mapping.codecs}
        assert mapped == {96: 101, 97: 102, 98: 103, 99: 104}

    def test_mime_types_are_compared_without_case(self) -> None:
        params = changed(microphone(), "codecs.0.mime_type", "AUDIO/Opus")
        assert consumable(params).codecs[0].mime_type == "audio/opus"

    @pytest.mark.parametrize(
        ("params", "router", "path"),
        [
            (microphone(), ortc.router_capabilities([PCMU]), "codecs.0: "),
            (changed(microphone(), "codecs.0.channels", 1), ROUTER, "codecs.0: "),
            (changed(microphone(), "codecs.0.clock_rate", 44100), ROUTER, "codecs.0: "),
            (camera(codec("video/VP8", 96), codec("video/ulpfec", 117)), ROUTER, "codecs.1: "),
            (camera(codec("video/VP8", 96), codec("video/H265", 117)), ROUTER, "codecs.1: "),
            (camera(codec("video/VP9", 98, parameters=parameters({"profile-id": 2}))), ROUTER, "codecs.0: "),
            (camera(codec("video/VP9", 98, parameters=parameters({"profile-id": "0"}))), ROUTER, "codecs.0: "),
        ],
    )
    def test_a_codec_that_the_router_lacks_is_unsupported(
        self, params: RtpParameters, router: RtpCapabilities, path: str
    ) -> None:
        with pytest.raises(Unsupported) as refusal:
            produced(params, router)
        assert str(refusal.value).startswith(path)

    def test_rtx_that_the_router_lacks_is_unsupported(self) -> None:
        audio_rtx = codec("audio/rtx", 112, 48000, parameters=parameters(apt=111))
        with pytest.raises(Unsupported, match=r"^codecs\.1: .*111"):
            produced(replace(microphone(), codecs=(*microphone().codecs, audio_rtx)))

    def test_vp9_without_profile_is_profile_0(self) -> None:
        zero = camera(codec("video/VP9", 98, parameters=parameters({"profile-id": 0})))
        assert produced(zero)[1].codecs == produced(camera(codec("video/VP9", 98)))[1].codecs

    def test_multiopus_is_matched_by_its_streams(self) -> None:
        quad = next(entry for entry in SUPPORTED.codecs if entry.channels == 4)
        router = ortc.router_capabilities([quad])
        sent = codec("audio/multiopus", 109, 48000, channels=4, parameters=quad.parameters)
        params = replace(microphone(), codecs=(sent,))
        assert produced(params, router)[1].codecs == (CodecMapping(109, 100),)
        with pytest.raises(Unsupported):
            produced(changed(params, "codecs.0.parameters", parameters(num_streams=4, coupled_streams=2)), router)

    def test_h264_gets_the_profile_level_id_that_answers_it(self) -> None:
        given = camera(codec("video/H264", 102, parameters=h264_parameters("42e034", 1, foo=1234)))
        params, mapping, offered = produced(given)
        assert dict(params.codecs[0].parameters) == {"profile-level-id": "42e01f", "packetization-mode": 1, "foo": 1234}
        assert offered.codecs[0].parameters == params.codecs[0].parameters
        assert mapping.codecs[0].payload_type == 102
        assert produced(params)[0] == params

    def test_h264_keeps_its_level_where_it_is_lower_or_asymmetry_is_allowed(self) -> None:
        lower = camera(codec("video/H264", 102, parameters=h264_parameters("42e00d", 1)))
        assert produced(lower)[0] == lower
        freely = h264_parameters("42e034", 1, **{"level-asymmetry-allowed": 1})
        assert produced(camera(codec("video/H264", 102, parameters=freely)))[0].codecs[0].parameters == freely

    def test_h264_without_profiles_has_none_in_the_answer(self) -> None:
        router = ortc.router_capabilities([h264_codec(None, 1)])
        given = camera(codec("video/H264", 102, parameters=h264_parameters("", 1)))
        assert dict(produced(given, router)[0].codecs[0].parameters) == {"packetization-mode": 1}

    @pytest.mark.parametrize(
        "wrong",
        [
            h264_parameters("42e01f", None),
            h264_parameters("42e01f", 0),
            h264_parameters("640c1f", 1),
            h264_parameters("nonsense", 1),
            parameters({"profile-level-id": "42e01f", "packetization-mode": "1"}),
            parameters({"profile-level-id": 420010, "packetization-mode": 1}),
        ],
    )
    def test_another_h264_is_another_codec(self, wrong: Any) -> None:
        with pytest.raises(Unsupported):
            produced(camera(codec("video/H264", 102, parameters=wrong)))

    def test_each_h264_finds_its_own_among_several(self) -> None:
        router = ortc.router_capabilities([h264_codec("42e01f", 0), h264_codec("640032", 1), h264_codec("42e01f", 1)])
        params = camera(
            codec("video/H264", 1, parameters=h264_parameters("42e01f", 1)),
            codec("video/H264", 2, parameters=h264_parameters("42e01f", None)),
            codec("video/H264", 3, parameters=h264_parameters("640032", 1)),
        )
        mapped = {entry.payload_type: entry.mapped_payload_type for entry in produced(params, router)[1].codecs}
        assert mapped == {1: 104, 2: 100, 3: 102}


class TestConsumable:
    def test_codecs_are_the_routers_with_the_producers_parameters(self) -> None:
        params, mapping, offered = produced(microphone())
        assert offered.codecs == (replace(params.codecs[0], payload_type=100, rtcp_feedback=(NACK, CC)),)
        assert offered.encodings == (RtpEncodingParameters(ssrc=mapping.encodings[0].mapped_ssrc, dtx=True),)
        assert (offered.mid, offered.msid) == (None, "stream track")
        assert offered.rtcp == RtcpParameters("Tqx3", reduced_size=True)

    def test_encodings_lose_what_only_the_producer_means(self) -> None:
        named = tuple(
            replace(entry, codec_payload_type=96, rtx=RtxParameters(7 + i)) for i, entry in enumerate(simulcast("L1T3"))
        )
        (encoding,) = consumable(camera(encodings=named)).encodings
        assert encoding == RtpEncodingParameters(encoding.ssrc, scalability_mode="L1T3", max_bitrate=100_000)

    def test_rtx_is_there_whether_the_producer_has_it_or_not(self) -> None:
        with_rtx, without = consumable(camera()), consumable(camera(codec("video/VP8", 96)))
        assert [name for name, _ in names(with_rtx)] == ["video/VP8", "video/rtx"]
        assert with_rtx.codecs == without.codecs
        assert with_rtx.codecs[1].parameters == parameters(apt=with_rtx.codecs[0].payload_type)

    def test_extensions_are_those_that_the_router_sends(self) -> None:
        assert uris(consumable(microphone())) == [MID, ABS_SEND_TIME, SSRC_AUDIO_LEVEL, PLAYOUT_DELAY, PACKET_ID]
        assert uris(consumable(camera())) == [
            MID,
            ABS_SEND_TIME,
            TRANSPORT_CC,
            VIDEO_ORIENTATION,
            TIME_OFFSET,
            ABS_CAPTURE_TIME,
            PLAYOUT_DELAY,
            PACKET_ID,
        ]

    def test_capture_time_is_there_only_where_the_producer_sends_it(self) -> None:
        assert ABS_CAPTURE_TIME not in uris(consumable(replace(camera(), header_extensions=())))
        given = replace(microphone(), header_extensions=(RtpHeaderExtensionParameters(ABS_CAPTURE_TIME, 9),))
        assert ABS_CAPTURE_TIME in uris(consumable(given))

    def test_two_codecs_that_are_one_to_the_router_are_one_to_consumers(self) -> None:
        twice = replace(microphone(), codecs=(microphone().codecs[0], replace(microphone().codecs[0], payload_type=96)))
        _, mapping, offered = produced(twice)
        assert mapping.codecs == (CodecMapping(111, 100), CodecMapping(96, 100))
        assert names(offered) == [("audio/opus", 100)]

    def test_the_kind_must_be_that_of_the_codecs(self) -> None:
        with pytest.raises(InvalidParameters, match=r"^codecs\.0\.mimeType: "):
            produced(microphone(), kind="video")

    def test_two_requests_of_one_browser_share_their_codecs(self) -> None:
        one, other = consumable(microphone()), consumable(changed(microphone(), "rtcp", RtcpParameters("else")))
        assert one.codecs is other.codecs
        assert one.header_extensions is other.header_extensions
        assert other.rtcp.cname == "else"
