"""What is filled in is as long as it says, and of the kind that the decoder is in."""

from __future__ import annotations

import pytest

from app.media.opus import samples_of
from app.recording.filling import CONCEALING, FRAME, SILENCE

SPEECH = ("silk narrow", "silk medium", "silk wide")
BOTH = ("hybrid super-wide", "hybrid full")
MUSIC = ("celt narrow", "celt wide", "celt super-wide", "celt full")


def kind_of(first: int) -> tuple[str, bool]:
    """Mode and bandwidth (RFC 6716 §3.1, table 2), and whether it is stereo."""
    configuration = first >> 3
    if configuration < 12:
        name = SPEECH[configuration // 4]
    elif configuration < 16:
        name = BOTH[(configuration - 12) // 2]
    else:
        name = MUSIC[(configuration - 16) // 4]
    return name, bool(first & 4)


def test_silence_lasts_a_frame():
    assert samples_of(SILENCE) == FRAME


@pytest.mark.parametrize("first", range(256))
def test_what_conceals_lasts_a_frame_and_keeps_the_kind(first):
    [toc] = CONCEALING[first]
    assert samples_of(bytes([toc])) == FRAME
    assert kind_of(toc) == kind_of(first)
