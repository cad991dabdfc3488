"""What goes with what: consumers, of browsers and of other routers."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.worker_bridge.rtp_samples import (
    AV1,
    CC,
    FIR,
    NACK,
    OPUS,
    PCMU,
    PLI,
    REMB,
    ROUTER,
    TELEPHONE_EVENT,
    VP8,
    VP9,
    camera,
    codec,
    consumable,
    h264_codec,
    h264_parameters,
    microphone,
    simulcast,
    uris,
)
from worker_bridge import ortc
from worker_bridge.capabilities import (
    ABS_SEND_TIME,
    DEPENDENCY_DESCRIPTOR,
    MID,
    TIME_OFFSET,
    TRANSPORT_CC,
    VIDEO_ORIENTATION,
)
from worker_bridge.errors import InvalidParameters, Unsupported
from worker_bridge.rtp import (
    RtcpFeedback,
    RtpCapabilities,
    RtpCodecCapability,
    RtpEncodingParameters,
    RtpHeaderExtension,
    RtpParameters,
    RtxParameters,
    parameters,
)


def receiver(*codecs: RtpCodecCapability, extensions: dict[str, int] | None = None) -> RtpCapabilities:
    return RtpCapabilities(
        codecs, tuple(RtpHeaderExtension(uri, number, "video") for uri, number in (extensions or {}).items())
    )


RTX_RECEIVER = RtpCodecCapability("video", "video/rtx", 90000, 102, parameters=parameters(apt=101))


class TestCanConsume:
    @pytest.mark.parametrize("params", [microphone(), camera(), camera(codec("video/AV1", 45))])
    def test_the_router_itself_can(self, params: RtpParameters) -> None:
        assert ortc.can_consume(consumable(params), ROUTER)

    def test_payload_types_do_not_matter(self) -> None:
        assert ortc.can_consume(consumable(microphone()), receiver(replace(OPUS, preferred_payload_type=33)))

    @pytest.mark.parametrize(
        "caps", [receiver(), receiver(VP8), receiver(PCMU), receiver(replace(OPUS, channels=None)), receiver(AV1)]
    )
    def test_without_a_common_codec_nobody_can(self, caps: RtpCapabilities) -> None:
        assert not ortc.can_consume(consumable(microphone()), caps)

    def test_rtx_comfort_noise_or_dtmf_in_common_are_not_enough(self) -> None:
        assert not ortc.can_consume(consumable(camera()), receiver(RTX_RECEIVER))
        dtmf = codec("audio/telephone-event", 101, 8000)
        offered = consumable(replace(microphone(), codecs=(dtmf, *microphone().codecs)))
        assert not ortc.can_consume(offered, receiver(TELEPHONE_EVENT))
        assert ortc.can_consume(offered, receiver(TELEPHONE_EVENT, OPUS))

    def test_simulcast_needs_a_codec_that_the_worker_can_switch(self) -> None:
        params = camera(codec("video/VP8", 96), codec("video/VP9", 98), encodings=simulcast(None, None))
        offered = consumable(params)
        assert ortc.can_consume(offered, receiver(VP8, VP9))
        assert not ortc.can_consume(offered, receiver(VP9))
        with pytest.raises(Unsupported):
            ortc.consumer_parameters(offered, receiver(VP9))

    def test_bad_capabilities_are_refused(self) -> None:
        with pytest.raises(InvalidParameters, match=r"^codecs\.0\.clockRate: "):
            ortc.can_consume(consumable(microphone()), receiver(replace(OPUS, clock_rate=0)))

    def test_h264_and_vp9_are_compared_with_their_profiles(self) -> None:
        h264 = consumable(camera(codec("video/H264", 102, parameters=h264_parameters("42e01f", 1))))
        assert ortc.can_consume(h264, receiver(h264_codec("42e034", 1)))
        assert not ortc.can_consume(h264, receiver(h264_codec("42e01f", 0)))
        vp9 = consumable(camera(codec("video/VP9", 98)))
        assert not ortc.can_consume(vp9, receiver(replace(VP9, parameters=parameters({"profile-id": 2}))))


class TestConsumer:
    def test_a_browser_gets_one_encoding_with_random_ssrcs(self) -> None:
        offered = consumable(camera(encodings=simulcast("L1T3", "L1T3", "L1T3")))
        got = [ortc.consumer_parameters(offered, ROUTER, enable_rtx=True) for _ in range(20)]
        assert len({params.encodings[0].ssrc for params in got}) > 1
        for params in got:
            (encoding,) = params.encodings
            assert encoding.ssrc is not None
            assert encoding == RtpEncodingParameters(
                encoding.ssrc, rtx=RtxParameters(encoding.ssrc + 1), scalability_mode="L3T3", max_bitrate=300_000
            )
            assert (params.mid, params.rtcp) == (None, offered.rtcp)

    def test_audio_is_plain(self) -> None:
        offered = consumable(microphone())
        params = ortc.consumer_parameters(offered, ROUTER)
        assert params.encodings == (RtpEncodingParameters(params.encodings[0].ssrc),)
        assert params.codecs == (replace(offered.codecs[0], rtcp_feedback=()),)  # no NACK, and no BWE for audio
        assert params.msid == "stream track"

    def test_feedback_is_the_receivers(self) -> None:
        own = replace(VP8, rtcp_feedback=(NACK, PLI, RtcpFeedback("foo", "FOO"), REMB, CC))
        offered = consumable(camera())
        for enable_rtx, expected in (
            (True, (NACK, PLI, RtcpFeedback("foo", "FOO"))),
            (False, (PLI, RtcpFeedback("foo", "FOO"))),
        ):
            params = ortc.consumer_parameters(offered, receiver(own), enable_rtx=enable_rtx)
            assert params.codecs[0].rtcp_feedback == expected

    @pytest.mark.parametrize(
        ("extensions", "kept"),
        [
            ({TRANSPORT_CC: 5, ABS_SEND_TIME: 4}, CC),
            ({TRANSPORT_CC: 5}, CC),
            ({ABS_SEND_TIME: 4}, REMB),
            ({ABS_SEND_TIME: 5}, None),
            ({}, None),
        ],
    )
    def test_of_two_congestion_controls_one_stays(self, extensions: dict[str, int], kept: RtcpFeedback | None) -> None:
        caps = receiver(replace(VP8, rtcp_feedback=(REMB, CC)), extensions=extensions)
        feedback = ortc.consumer_parameters(consumable(camera()), caps).codecs[0].rtcp_feedback
        assert feedback == ((kept,) if kept else ())

    def test_extensions_are_common_by_id_and_uri(self) -> None:
        caps = receiver(VP8, extensions={MID: 1, VIDEO_ORIENTATION: 9, TIME_OFFSET: 9, "urn:of-tomorrow": 12})
        assert uris(ortc.consumer_parameters(consumable(camera()), caps)) == [MID, TIME_OFFSET]

    def test_rtx_needs_both_sides_and_the_wish(self) -> None:
        offered = consumable(camera())
        for caps, enable_rtx, expected in (
            (receiver(VP8, RTX_RECEIVER), True, 2),
            (receiver(VP8, RTX_RECEIVER), False, 1),
            (receiver(VP8), True, 1),
        ):
            params = ortc.consumer_parameters(offered, caps, enable_rtx=enable_rtx)
            assert len(params.codecs) == expected
            assert (params.encodings[0].rtx_ssrc is None) == (expected == 1)

    def test_rtx_of_a_codec_that_is_not_common_is_dropped(self) -> None:
        params = camera(codec("video/VP9", 98), codec("video/VP8", 96))
        got = ortc.consumer_parameters(consumable(params), receiver(VP8, RTX_RECEIVER), enable_rtx=True)
        vp8, its_rtx = got.codecs
        assert vp8.mime_type == "video/VP8"
        assert its_rtx.parameters == parameters(apt=vp8.payload_type)

    def test_the_parameters_of_the_producer_travel_on(self) -> None:
        own = replace(OPUS, parameters=parameters(useinbandfec=0, baz="LOL"))
        assert ortc.consumer_parameters(consumable(microphone()), receiver(own)).codecs[0].parameters == parameters(
            minptime=10, useinbandfec=1, usedtx=1
        )

    @pytest.mark.parametrize(
        ("modes", "expected"),
        [
            ((None,), None),
            (("L1T3",), "L1T3"),
            (("L3T3_KEY",), "L3T3_KEY"),
            ((None, None), "L2T1"),
            ((None, "L1T2"), "L2T2"),
            (("L1T3", "L1T3", "L1T3"), "L3T3"),
        ],
    )
    def test_simulcast_streams_become_spatial_layers(self, modes: tuple[str | None, ...], expected: str | None) -> None:
        params = ortc.consumer_parameters(consumable(camera(encodings=simulcast(*modes))), ROUTER)
        assert params.encodings[0].scalability_mode == expected

    def test_without_a_common_codec_it_is_unsupported(self) -> None:
        with pytest.raises(Unsupported, match=r"^codecs: "):
            ortc.consumer_parameters(consumable(microphone()), receiver(PCMU))

    def test_a_pipe_keeps_all_encodings(self) -> None:
        offered = consumable(camera(encodings=simulcast("L1T3", "L1T3")))
        params = ortc.consumer_parameters(offered, ROUTER, pipe=True, enable_rtx=True)
        first, second = params.encodings
        assert first.ssrc is not None
        assert first.rtx_ssrc is not None
        assert second == replace(offered.encodings[1], ssrc=first.ssrc + 1, rtx=RtxParameters(first.rtx_ssrc + 1))


class TestPipeConsumer:
    def test_a_pipe_carries_everything_but_bandwidth_estimation(self) -> None:
        offered = consumable(camera(encodings=simulcast("L1T3", "L1T3", "L1T3")))
        params = ortc.pipe_consumer_parameters(offered, enable_rtx=False)
        assert [entry.mime_type for entry in params.codecs] == ["video/VP8"]
        assert params.codecs[0].rtcp_feedback == (PLI, FIR)
        assert [entry.max_bitrate for entry in params.encodings] == [100_000, 200_000, 300_000]
        assert {entry.rtx_ssrc for entry in params.encodings} == {None}
        ssrcs = [entry.ssrc for entry in params.encodings]
        assert ssrcs == [ssrcs[0], (ssrcs[0] or 0) + 1, (ssrcs[0] or 0) + 2]
        assert params.rtcp == offered.rtcp

    def test_with_rtx_it_carries_rtx_and_nack(self) -> None:
        params = ortc.pipe_consumer_parameters(consumable(camera()), enable_rtx=True)
        assert [entry.mime_type for entry in params.codecs] == ["video/VP8", "video/rtx"]
        assert params.codecs[0].rtcp_feedback == (NACK, PLI, FIR)
        (encoding,) = params.encodings
        assert None not in (encoding.ssrc, encoding.rtx_ssrc)
        assert encoding.ssrc != encoding.rtx_ssrc

    @pytest.mark.parametrize("params", [microphone(), camera()])
    def test_extensions_are_sorted_with_the_dependency_descriptor_and_without_mid(self, params: RtpParameters) -> None:
        piped = ortc.pipe_consumer_parameters(consumable(params), enable_rtx=False)
        assert DEPENDENCY_DESCRIPTOR in uris(piped)
        assert not {MID, ABS_SEND_TIME, TRANSPORT_CC} & set(uris(piped))
        ids = [extension.id for extension in piped.header_extensions]
        assert ids == sorted(ids)

    def test_another_router_can_take_it(self) -> None:
        for offered in (consumable(microphone()), consumable(camera(encodings=simulcast("L1T2", "L1T2")))):
            piped = ortc.pipe_consumer_parameters(offered, enable_rtx=True)
            assert [entry.mime_type for entry in consumable(piped).codecs] == [e.mime_type for e in offered.codecs]
