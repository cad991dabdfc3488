"""How a stream is cut into frames, whatever the chunks it comes in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.worker_bridge.memory_wire import cut, framed
from worker_bridge.channel import FRAME_LIMIT, PREFIX, FrameBuffer
from worker_bridge.errors import InvalidMessage


@given(payloads=st.lists(st.binary(max_size=300), max_size=8), places=st.lists(st.integers(0, 3000), max_size=20))
def test_frames_do_not_depend_on_how_the_stream_is_cut(payloads: list[bytes], places: list[int]) -> None:
    frames = [framed(payload) for payload in payloads]
    buffer = FrameBuffer()
    found = [bytes(frame) for chunk in cut(b"".join(frames), places) for frame in buffer.feed(chunk)]
    assert found == frames


@given(payload=st.binary(max_size=40), kept=st.integers(0, 43))
def test_a_part_of_a_frame_is_kept_until_the_rest_comes(payload: bytes, kept: int) -> None:
    frame, buffer = framed(payload), FrameBuffer()
    kept = min(kept, len(frame) - 1)
    assert not list(buffer.feed(frame[:kept]))
    assert [bytes(found) for found in buffer.feed(frame[kept:])] == [frame]


def test_a_frame_of_exactly_the_limit_passes_and_one_byte_more_does_not() -> None:
    fits = framed(b"x" * 12)
    assert len(list(FrameBuffer(limit=len(fits)).feed(fits))) == 1
    with pytest.raises(InvalidMessage, match="limit of 15"):
        list(FrameBuffer(limit=len(fits) - 1).feed(fits))


def test_a_frame_that_is_too_long_is_refused_by_its_prefix_alone() -> None:
    with pytest.raises(InvalidMessage):
        list(FrameBuffer().feed((FRAME_LIMIT - PREFIX + 1).to_bytes(PREFIX, "little")))
    assert not list(FrameBuffer().feed((FRAME_LIMIT - PREFIX).to_bytes(PREFIX, "little")))


def test_frames_before_one_that_is_too_long_are_still_delivered() -> None:
    frames = FrameBuffer(limit=16).feed(framed(b"good") + framed(b"x" * 100))
    assert bytes(next(frames)) == framed(b"good")
    with pytest.raises(InvalidMessage):
        next(frames)
