"""Clips as ffmpeg writes them and as they must not be."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from app.announcing.clip import FRAME_SAMPLES, ClipError, read_clip
from app.media.ogg import FIRST, LAST, page
from app.media.opus import OpusHead, samples_of, tags

CELT = bytes([31 << 3])  # 20 ms
SOUND = CELT + b"sound"


def opus_file(*sound: bytes, head: OpusHead | None = None, comments: bytes | None = None) -> bytes:
    """A second on a page."""
    packets = [(head or OpusHead(channels=1)).packet()], [tags("us") if comments is None else comments]
    pages = [*packets, *(list(sound[start : start + 50]) for start in range(0, max(1, len(sound)), 50))]
    flags = [FIRST, *[0] * (len(pages) - 2), LAST]
    return b"".join(page(one, FRAME_SAMPLES * len(sound), 7, at, flags[at]) for at, one in enumerate(pages))


def by_ffmpeg(seconds: float, *, frame_ms: str = "20", layout: str = "mono", rate: int = 48_000) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=rate, layout=layout, options={"frame_duration": frame_ms})
        channels = 2 if layout == "stereo" else 1
        samples = np.zeros((1, int(seconds * rate) * channels), np.int16)
        frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
        frame.sample_rate, frame.pts = rate, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2)])
def test_what_ffmpeg_writes_is_played_as_it_is(layout, channels):
    clip = read_clip("hello", by_ffmpeg(2.0, layout=layout))
    assert (clip.name, clip.channels) == ("hello", channels)
    assert 2000 <= clip.duration_ms <= 2040  # and what the encoder looks ahead
    assert {samples_of(packet) for packet in clip.packets} == {FRAME_SAMPLES}


def test_packets_are_those_behind_the_headers():
    assert read_clip("two", opus_file(SOUND, SOUND + b"!")).packets == (SOUND, SOUND + b"!")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(1000), "is no Ogg file"),
        (b"", "is empty"),
        (by_ffmpeg(0.2)[:-100], "ends in the middle of a page"),
        (by_ffmpeg(0.2, frame_ms="60"), "a packet of 60 ms"),
        (by_ffmpeg(0.2, frame_ms="10"), "a packet of 10 ms"),
        (opus_file(SOUND, head=OpusHead(1, input_rate=44_100)), "44100 Hz, not 48000"),
        (opus_file(SOUND, head=OpusHead(1, gain=512)), "a gain of 2.0 dB"),
        (opus_file(SOUND, head=OpusHead(6, mapping=1)), "6 channels of mapping 1"),
        (opus_file(SOUND, comments=b"no tags"), "lacks the second header"),
        (opus_file(), "has no sound"),
        (opus_file(SOUND + bytes(1300)), "a packet of 1306 bytes"),
        (page([b"\x01vorbis" + bytes(30)], 0, 7, 0, FIRST | LAST), "does not hold Opus"),
    ],
    ids=["png", "empty", "truncated", "60 ms", "10 ms", "rate", "gain", "surround", "tags", "silent", "long", "vorbis"],
)
def test_what_can_t_be_played_is_refused_with_the_reason(data, why):
    with pytest.raises(ClipError, match=why):
        read_clip("bad", data)
