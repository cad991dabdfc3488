"""What holds for any values: nothing but the documented errors, and what is allowed in gets out again."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.worker_bridge.rtp_samples import ROUTER, camera, microphone, simulcast
from worker_bridge import ortc
from worker_bridge.capabilities import SUPPORTED
from worker_bridge.errors import InvalidParameters, Unsupported
from worker_bridge.rtp import (
    RtcpFeedback,
    RtcpParameters,
    RtpCapabilities,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtension,
    RtpHeaderExtensionParameters,
    RtpParameters,
    RtxParameters,
    parameters,
)
from worker_bridge.rtp_fbs import mapping_to_fbs, parameters_from_fbs, parameters_to_fbs

texts = st.text(max_size=6)
kinds = st.sampled_from(["audio", "video"])
numbers = st.one_of(st.integers(-2, 300), st.booleans(), st.floats(), st.integers())
known_uris = st.sampled_from([extension.uri for extension in SUPPORTED.header_extensions])
mime_types = st.sampled_from(
    [*(codec.mime_type for codec in SUPPORTED.codecs), "video/rtx", "audio/rtx", "video/ulpfec", "VIDEO/vp8", "x"]
)
parameter_names = st.sampled_from(["apt", "profile-id", "profile-level-id", "packetization-mode", "num_streams", "x"])
parameter_values: st.SearchStrategy[Any] = st.one_of(
    numbers, texts, st.sampled_from(["42e01f", "640032", "1", 0, 1, 96, 97])
)
pairs = st.dictionaries(parameter_names, parameter_values, max_size=3).map(parameters)
feedback = st.lists(st.builds(RtcpFeedback, st.sampled_from(["nack", "ccm", "goog-remb", ""]), texts), max_size=2)
payload_types = st.one_of(st.integers(94, 99), numbers)
clock_rates = st.one_of(st.sampled_from([48000, 90000, 8000]), numbers)
channels = st.one_of(st.sampled_from([None, 1, 2]), numbers)

wild_codecs = st.builds(
    RtpCodecParameters, mime_types, payload_types, clock_rates, channels, pairs, feedback.map(tuple)
)
wild_extensions = st.builds(RtpHeaderExtensionParameters, known_uris | texts, numbers, st.booleans(), pairs)
ssrcs = st.one_of(st.none(), st.integers(1, 5), numbers)
wild_encodings = st.builds(
    RtpEncodingParameters,
    ssrcs,
    st.none() | texts,
    st.none() | payload_types,
    st.none() | st.builds(RtxParameters, numbers),
    st.booleans(),
    st.sampled_from([None, "", "L1T3", "L2T2", "x"]) | texts,
    st.none() | numbers,
)
wild_parameters = st.builds(
    RtpParameters,
    st.lists(wild_codecs, max_size=3).map(tuple),
    st.lists(wild_extensions, max_size=3).map(tuple),
    st.lists(wild_encodings, max_size=3).map(tuple),
    st.builds(RtcpParameters, st.none() | texts, st.booleans()),
    st.none() | texts,
    st.none() | texts,
)
wild_capabilities = st.builds(
    RtpCapabilities,
    st.lists(
        st.builds(
            RtpCodecCapability, kinds, mime_types, clock_rates, payload_types, channels, pairs, feedback.map(tuple)
        ),
        max_size=4,
    ).map(tuple),
    st.lists(st.builds(RtpHeaderExtension, known_uris | texts, numbers, st.none() | kinds), max_size=3).map(tuple),
)


def offered_by(codec: RtpCodecCapability, payload_type: int) -> tuple[RtpCodecParameters, ...]:
    """What a client that can what the router can sends, with payload types of its own."""
    media = RtpCodecParameters(
        codec.mime_type.upper(), payload_type, codec.clock_rate, codec.channels, codec.parameters, codec.rtcp_feedback
    )
    if codec.kind == "audio":
        return (media,)
    return (media, RtpCodecParameters("video/rtx", payload_type + 1, 90000, None, parameters(apt=payload_type)))


@st.composite
def good_parameters(draw: st.DrawFn) -> tuple[RtpParameters, RtpCapabilities]:
    """A router, and a producer that it can take."""
    routed = draw(st.lists(st.sampled_from(SUPPORTED.codecs), min_size=1, max_size=4, unique_by=lambda c: c.mime_type))
    router = ortc.router_capabilities(routed)
    media = [codec for codec in router.codecs if not codec.mime_type.endswith(("/rtx", "/CN", "/telephone-event"))]
    if not media:
        return good_microphone(draw), ROUTER
    first = draw(st.sampled_from(media))
    same = [codec for codec in media if codec.kind == first.kind]
    codecs = [entry for index, codec in enumerate(same) for entry in offered_by(codec, 20 + 2 * index)]
    base = microphone() if first.kind == "audio" else camera()
    encodings: tuple[RtpEncodingParameters, ...] = (RtpEncodingParameters(ssrc=draw(st.integers(1, 2**32 - 1))),)
    if all(codec.mime_type in ("video/VP8", "video/H264") for codec in same):
        encodings = simulcast(*draw(st.lists(st.sampled_from([None, "L1T1", "L1T3"]), min_size=1, max_size=3)))
    return replace(base, codecs=tuple(codecs), encodings=encodings), router


def good_microphone(draw: st.DrawFn) -> RtpParameters:
    return replace(microphone(), mid=draw(st.none() | st.text("0123456789", max_size=16)))


def in_and_out(params: RtpParameters, router: RtpCapabilities, remote: RtpCapabilities) -> None:
    """All that a call does with parameters. Raises what the functions raise."""
    params = ortc.validate_parameters(params)
    assert ortc.validate_parameters(params) == params  # what is normal stays
    params, mapping = ortc.producer_mapping(params, router)
    kind: Any = params.codecs[0].mime_type.partition("/")[0].lower()
    consumable = ortc.consumable_parameters(kind, params, router, mapping)
    assert ortc.can_consume(consumable, router)
    mapping_to_fbs(mapping)
    consumers = [
        ortc.consumer_parameters(consumable, router, enable_rtx=True),
        ortc.pipe_consumer_parameters(consumable, enable_rtx=True),
    ]
    if ortc.can_consume(consumable, remote):
        consumers.append(ortc.consumer_parameters(consumable, remote))
    else:
        with pytest.raises(Unsupported):
            ortc.consumer_parameters(consumable, remote, enable_rtx=True)
    for each in (params, *consumers):
        assert parameters_from_fbs(parameters_to_fbs(each)) == each
    for consumer in consumers:
        # The worker's own rules: ortc must not give it what it would refuse.
        assert ortc.validate_parameters(consumer, kind).codecs == consumer.codecs


@settings(deadline=None)
@given(wild_parameters, wild_capabilities)
def test_any_values_are_taken_or_refused_in_the_documented_way(params: RtpParameters, remote: RtpCapabilities) -> None:
    with suppress(InvalidParameters, Unsupported):
        in_and_out(params, ROUTER, remote)
    with suppress(InvalidParameters):
        assert ortc.validate_capabilities(ortc.validate_capabilities(remote)) == ortc.validate_capabilities(remote)
    with suppress(InvalidParameters, Unsupported):
        ortc.router_capabilities(remote.codecs)


@settings(deadline=None)
@given(good_parameters(), wild_capabilities)
def test_what_a_router_offers_it_takes_and_gives(given_: tuple[RtpParameters, RtpCapabilities], remote: Any) -> None:
    params, router = given_
    try:
        remote = ortc.validate_capabilities(remote)
    except InvalidParameters:
        remote = router
    in_and_out(params, router, remote)


@settings(deadline=None)
@given(wild_parameters)
def test_what_was_seen_before_changes_no_verdict(params: RtpParameters) -> None:
    """Look-alikes (True, 1 and 1.0) share their place in memories, but not their verdict."""

    def verdict(value: RtpParameters) -> str:
        try:
            return repr(ortc.validate_parameters(value))
        except InvalidParameters as error:
            return str(error)

    def with_numbers(change: Any, value: RtpParameters) -> RtpParameters:
        codecs = tuple(
            replace(
                codec,
                payload_type=change(codec.payload_type),
                parameters=parameters({name: change(number) for name, number in codec.parameters.items()}),
            )
            for codec in value.codecs
        )
        return replace(value, codecs=codecs)

    before = verdict(params)
    verdict(with_numbers(lambda number: int(number) if number in (0, 1) else number, params))
    verdict(with_numbers(lambda number: bool(number) if number in (0, 1) else number, params))
    assert verdict(params) == before
