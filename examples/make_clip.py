"""Makes an Ogg Opus clip that voiceplane can play: of a sound file, or of tones.

    python examples/make_clip.py welcome.wav clips/welcome.opus
    python examples/make_clip.py --tones "880 120, 0 80, 880 120" warning.opus

Any file that ffmpeg reads will do. Tones are pairs of a frequency in Hz, several joined by +, and milliseconds; 0 Hz is
silence. A clip is 48 kHz with 20 ms in each packet. Needs av and numpy.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

RATE = 48_000  # Hz
FRAME = 960  # samples: 20 ms
FADE = RATE // 200  # 5 ms at each end of a tone, which would click without it
LOUD = 0.25  # of the most: -12 dBov

Samples = npt.NDArray[np.int16]


def sound_of(file: Path) -> Iterator[Samples]:
    """A file's sound, piece by piece."""
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(str(file)) as source:
        for frame in source.decode(audio=0):
            yield from (one.to_ndarray()[0] for one in resampler.resample(frame))
    yield from (one.to_ndarray()[0] for one in resampler.resample(None))


def tones_of(text: str) -> Iterator[Samples]:
    for pair in text.split(","):
        pitches, length_ms = pair.split()
        time = np.arange(int(length_ms) * RATE // 1000) / RATE
        voices = [np.sin(2 * np.pi * float(hz) * time) for hz in pitches.split("+")]
        tone = LOUD * 32767 * np.mean(voices, axis=0)
        edge = np.minimum(np.arange(len(tone)), np.arange(len(tone))[::-1])
        yield (tone * np.minimum(1, edge / FADE)).astype(np.int16)


def write(file: Path, pieces: Iterable[Samples], bits_per_second: int) -> int:
    """Write a clip, filled up with silence to whole packets; returns its length in ms."""
    sound = np.concatenate([np.zeros(0, np.int16), *pieces])
    sound = np.append(sound, np.zeros(-len(sound) % FRAME, np.int16))
    with av.open(str(file), "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=RATE, layout="mono", options={"frame_duration": "20", "vbr": "on"})
        stream.bit_rate = bits_per_second
        for start in range(0, len(sound), FRAME):
            frame = av.AudioFrame.from_ndarray(sound[None, start : start + FRAME], "s16", "mono")
            frame.sample_rate, frame.pts = RATE, start
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return len(sound) * 1000 // RATE


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="?", help="a sound file")
    parser.add_argument("--tones", help="tones instead of a file, such as '440+550 500, 0 250'")
    parser.add_argument("--bitrate", type=int, default=32_000, help="bits a second (default: 32000)")
    parser.add_argument("clip", type=Path, help="what to write, NAME.opus")
    given = parser.parse_args()
    if (given.source is None) == (given.tones is None):
        parser.error("give either a sound file or --tones")
    made = tones_of(given.tones) if given.tones else sound_of(given.source)
    print(f"{given.clip}: {write(given.clip, made, given.bitrate)} ms")
