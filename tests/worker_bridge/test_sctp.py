"""SCTP's values: how a stream delivers, which streams are free, and what a message is on the wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker_bridge.errors import InvalidParameters
from worker_bridge.sctp import (
    Message,
    Payload,
    SctpStreamParameters,
    StreamIds,
    message_from_fbs,
    message_to_fbs,
    stream_delivery,
    validate_sctp_stream_parameters,
)

Delivery = tuple[bool | None, int | None, int | None]


@pytest.mark.parametrize(
    ("given_", "decided"),
    [
        ((None, None, None), (True, None, None)),
        ((False, None, None), (False, None, None)),
        ((None, 500, None), (False, 500, None)),
        ((None, None, 0), (False, None, 0)),
        ((False, 0, None), (False, 0, None)),
    ],
)
def test_a_stream_is_ordered_unless_something_else_is_asked_for(given_: Delivery, decided: Delivery) -> None:
    assert validate_sctp_stream_parameters(SctpStreamParameters(7, *given_)) == SctpStreamParameters(7, *decided)


@pytest.mark.parametrize(
    ("params", "refusal"),
    [
        (SctpStreamParameters(65535), "streamId: 65535"),
        (SctpStreamParameters(-1), "streamId: -1"),
        (SctpStreamParameters(True), "streamId: True"),
        (SctpStreamParameters(1, ordered=1), "ordered: must be a boolean"),  # type: ignore[arg-type]
        (SctpStreamParameters(1, max_packet_life_time=65536), "maxPacketLifeTime: 65536"),
        (SctpStreamParameters(1, max_retransmits=-1), "maxRetransmits: -1"),
        (SctpStreamParameters(1, None, 1, 1), "has both"),
        (SctpStreamParameters(1, True, None, 0), "ordered: can't be with maxRetransmits"),
    ],
)
def test_what_contradicts_itself_is_refused(params: SctpStreamParameters, refusal: str) -> None:
    with pytest.raises(InvalidParameters, match=refusal):
        validate_sctp_stream_parameters(params)


@pytest.mark.parametrize(
    ("asked", "delivery"),
    [
        ((None, None, None), (False, None, 3)),
        ((False, None, None), (False, None, 3)),
        ((True, None, None), (True, None, None)),
        ((None, 50, None), (False, 50, None)),
    ],
)
def test_a_consumer_delivers_as_its_producer_unless_told_otherwise(asked: Delivery, delivery: Delivery) -> None:
    producers = SctpStreamParameters(4, ordered=False, max_retransmits=3)
    chosen = stream_delivery(producers, SctpStreamParameters(0, *asked))
    assert (chosen.ordered, chosen.max_packet_life_time, chosen.max_retransmits) == delivery
    assert stream_delivery(None, SctpStreamParameters(0)).ordered, "what a direct transport sends"


def test_streams_are_used_again_as_late_as_possible() -> None:
    streams = StreamIds()
    streams.limit = 3
    assert [streams.take(), streams.take()] == [0, 1]
    streams.give_back(0)
    assert [streams.take(), streams.take(), streams.take()] == [2, 0, None]
    streams.give_back(1)
    assert streams.take() == 1


@given(steps=st.lists(st.one_of(st.none(), st.integers(0, 7)), max_size=60), limit=st.integers(1, 8))
def test_no_stream_is_given_twice(steps: list[int | None], limit: int) -> None:
    streams, taken = StreamIds(), set[int]()
    streams.limit = limit
    for step in steps:
        if step is not None:
            streams.give_back(step)
            taken.discard(step)
            continue
        stream = streams.take()
        assert (stream is None) is (len(taken) == limit)
        if stream is not None:
            assert stream not in taken
            assert 0 <= stream < limit
            taken.add(stream)


@pytest.mark.parametrize(
    ("payload", "ppid", "wire"),
    [
        ("héllo", None, (51, "héllo".encode())),
        ("", None, (56, b" ")),
        (b"\0\1", None, (53, b"\0\1")),
        (b"", None, (57, b"\0")),
        (memoryview(b"abc"), None, (53, b"abc")),
        (b"text", 51, (51, b"text")),
    ],
)
def test_a_message_says_what_it_is(payload: Payload, ppid: int | None, wire: tuple[int, bytes]) -> None:
    body = message_to_fbs(payload, ppid, limit=10)
    assert (body["ppid"], body["data"]) == wire
    received = message_from_fbs({"ppid": body["ppid"], "data": bytes(body["data"])})
    assert received.payload == (payload.encode() if isinstance(payload, str) else payload)
    assert received.is_text is (wire[0] in (51, 56))


def test_a_message_that_can_not_be_sent_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="3 bytes are more than 2"):
        message_to_fbs("abc", None, limit=2)
    with pytest.raises(InvalidParameters, match="expected bytes, got int"):
        message_to_fbs(7, None, limit=2)  # type: ignore[arg-type]
    assert Message(b"\xff", 51).text == "�"
