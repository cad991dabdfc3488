"""A call's sound for the program: two objects that stay the same while transports come and go.

`Microphone` reads one track of the program and gives each transport a track of its own; `Loudspeaker` is one track for
the program, which plays whatever is received at the moment, all of it together. Both know frames, and nothing of the
network.
"""

from __future__ import annotations

import asyncio
from collections import deque
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, AudioResampler

SAMPLE_RATE = 48_000  # Hz, Opus' only RTP clock (RFC 7587 §4.1)
FRAME_SAMPLES = 960  # 20 ms
FRAME_S = FRAME_SAMPLES / SAMPLE_RATE
TIME_BASE = Fraction(1, SAMPLE_RATE)
Samples = npt.NDArray[np.int32]  # stereo: two columns
KEPT_FRAMES = 250  # 5 s, for a slow reader; older frames are dropped
SILENCE = 0.0005  # of full scale, RMS: -66 dB, below which a microphone is off
SILENT_AFTER_S = 5.0
BESIDE_KEPT = 10 * FRAME_SAMPLES  # samples, 200 ms: how far what is heard beside a voice may be behind it
VOICE_GONE_S = 0.06  # after which what is heard beside a voice goes on alone


class Microphone:
    """What one party sends. Without a track, and after its end, that is silence.

    `muted` sends silence in place of the track, which is read on. `level` is the last frame's RMS, 0 to 1 of full
    scale; `silent_s` is how long there has been no sound, although it is not muted.
    """

    def __init__(self, track: MediaStreamTrack | None = None) -> None:
        self.muted = False
        self.level = 0.0
        self.silent_s = 0.0
        self._track = track
        self._resampler: AudioResampler | None = None
        self._ready: deque[AudioFrame] = deque()
        self._outlets: set[Outlet] = set()
        self._turn = asyncio.Lock()
        self._frames = 0
        self._silence_from: float | None = None  # the loop's clock: when the first frame of silence was due
        self._silences = 0

    def outlet(self) -> MediaStreamTrack:
        """A new track for one transport: the microphone's sound from now on."""
        return Outlet(self)

    def change(self, track: MediaStreamTrack | None) -> None:
        """Send another track from now on; the former one is stopped."""
        if self._track is not None and self._track is not track:
            self._track.stop()
        self._track, self._resampler, self._silence_from = track, None, None
        self._ready.clear()

    def stop(self) -> None:
        """Stop the track, and every outlet."""
        self.change(None)
        for outlet in tuple(self._outlets):
            outlet.stop()

    async def fill(self, outlet: Outlet) -> None:
        """Wait until `outlet` has a frame. The first outlet that waits reads for all."""
        self._outlets.add(outlet)
        async with self._turn:
            if outlet.frames:
                return
            frame = await self._next()
            for one in self._outlets:
                one.frames.append(frame)

    def leave(self, outlet: Outlet) -> None:
        self._outlets.discard(outlet)

    async def _next(self) -> AudioFrame:
        while not self._ready:
            track = self._track
            if track is None:
                return self._numbered(await self._silence())
            try:
                given = await track.recv()
            except MediaStreamError:
                if self._track is track:
                    self.change(None)
                continue
            if self._track is track and isinstance(given, AudioFrame):
                self._ready.extend(self._resampled(given))
        frame = self._ready.popleft()
        self._measure(frame)
        return self._numbered(blank() if self.muted else frame)

    def _resampled(self, frame: AudioFrame) -> list[AudioFrame]:
        if self._resampler is None:
            self._resampler = AudioResampler("s16", "mono", SAMPLE_RATE, FRAME_SAMPLES)
        frame.pts = None  # ours are counted, whatever the track's were
        return list(self._resampler.resample(frame))

    def _measure(self, frame: AudioFrame) -> None:
        self.level = rms(frame)
        heard = self.muted or self.level > SILENCE
        self.silent_s = 0.0 if heard else self.silent_s + FRAME_S

    async def _silence(self) -> AudioFrame:
        now = asyncio.get_running_loop().time()
        if self._silence_from is None:
            self._silence_from, self._silences = now, 0
        await asyncio.sleep(self._silence_from + self._silences * FRAME_S - now)
        self._silences += 1
        self.level = 0.0
        return blank()

    def _numbered(self, frame: AudioFrame) -> AudioFrame:
        frame.pts, frame.sample_rate, frame.time_base = self._frames * FRAME_SAMPLES, SAMPLE_RATE, TIME_BASE
        self._frames += 1
        return frame


class Outlet(MediaStreamTrack):
    """A microphone as one transport has it."""

    kind = "audio"

    def __init__(self, microphone: Microphone) -> None:
        super().__init__()
        self.frames: deque[AudioFrame] = deque(maxlen=KEPT_FRAMES)
        self._microphone = microphone

    async def recv(self) -> AudioFrame:
        while not self.frames:
            if self.readyState != "live":
                raise MediaStreamError
            await self._microphone.fill(self)
        return self.frames.popleft()

    def stop(self) -> None:
        super().stop()
        self._microphone.leave(self)


class Loudspeaker(MediaStreamTrack):
    """What one party hears: one track from the call's beginning to its end. `level` is like `Microphone`'s, of the
    other party's voice. An announcement, music or a supervisor is heard together with it.

    Frames that nobody takes are dropped after `KEPT_FRAMES`. Where the sound comes back by another transport, `pts`
    goes on from where it was, plus the time in between. `frames` counts the voice's frames that arrived.
    """

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self.level = 0.0
        self.frames = 0
        self.first_frame_at: float | None = None  # the loop's clock
        self.last_frame_at: float | None = None
        self._kept: deque[AudioFrame] = deque(maxlen=KEPT_FRAMES)
        self._changed = asyncio.Event()
        self._pts = 0
        self._given_at = float("-inf")  # when the last frame was, whoever's
        self._beside: list[Beside] = []

    async def recv(self) -> AudioFrame:
        while not self._kept:
            if self.readyState != "live":
                raise MediaStreamError
            self._changed.clear()
            await self._changed.wait()
        return self._kept.popleft()

    def stop(self) -> None:
        super().stop()
        self._changed.set()

    async def play_beside(self, track: MediaStreamTrack) -> None:
        """Play `track`, until it ends, together with the voice; alone, where there is none."""
        beside = Beside()
        self._beside.append(beside)
        try:
            while True:
                frame = await track.recv()
                if isinstance(frame, AudioFrame):
                    beside.add(frame)
                    self._go_on_alone()
        except MediaStreamError:
            return
        finally:
            self._beside.remove(beside)

    async def play(self, track: MediaStreamTrack) -> None:
        """Take every frame of `track`, which is the voice, until it ends."""
        offset: int | None = None
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, AudioFrame):
                if offset is None:
                    offset = self._due() - (frame.pts or 0)
                self._take(frame, offset)

    def _due(self) -> int:
        """The `pts` of a frame that arrives now, by the clock."""
        if self._given_at < 0:
            return 0
        passed_s = asyncio.get_running_loop().time() - self._given_at
        return self._pts + max(1, round(passed_s / FRAME_S)) * FRAME_SAMPLES

    def _take(self, frame: AudioFrame, offset: int) -> None:
        now = asyncio.get_running_loop().time()
        self.first_frame_at = self.first_frame_at or now
        self.last_frame_at = now
        self.frames += 1
        self.level = rms(frame)
        due = (frame.pts or 0) + offset
        self._give(self._together(frame), due, now)

    def _together(self, frame: AudioFrame) -> AudioFrame:
        """The voice's frame, with what is heard beside it."""
        if not any(beside.samples for beside in self._beside):
            return frame
        mixed = samples_of(frame)
        for beside in self._beside:
            mixed += beside.take(frame.samples)
        return stereo(mixed, frame)

    def _go_on_alone(self) -> None:
        """Give what is heard beside the voice, frame by frame, where there is no voice now."""
        now = asyncio.get_running_loop().time()
        if self.last_frame_at is not None and now - self.last_frame_at < VOICE_GONE_S:
            return
        while any(beside.samples >= FRAME_SAMPLES for beside in self._beside):
            pieces = [beside.take(FRAME_SAMPLES) for beside in self._beside]
            due = self._due()
            self._give(stereo(np.sum(pieces, axis=0), None), due, now)

    def _give(self, frame: AudioFrame, pts: int, now: float) -> None:
        self._pts = frame.pts = pts if self._given_at < 0 else max(pts, self._pts + 1)  # never twice the same
        self._given_at = now
        self._kept.append(frame)
        self._changed.set()


class Beside:
    """What has come of one track that is heard together with the voice, and was not given yet."""

    def __init__(self) -> None:
        self.samples = 0
        self._resampler: AudioResampler | None = None
        self._pieces: deque[Samples] = deque()

    def add(self, frame: AudioFrame) -> None:
        frame.pts = None
        if self._resampler is None:
            layout = "mono" if len(frame.layout.channels) == 1 else "stereo"
            self._resampler = AudioResampler("s16", layout, SAMPLE_RATE)
        for one in self._resampler.resample(frame):
            self._pieces.append(samples_of(one))
            self.samples += one.samples
        while self.samples > BESIDE_KEPT:
            self.samples -= len(self._pieces.popleft())

    def take(self, count: int) -> Samples:
        """The next so many samples; silence where there are fewer."""
        taken = np.zeros((count, 2), np.int32)
        filled = 0
        while self._pieces and filled < count:
            piece = self._pieces.popleft()
            used = min(len(piece), count - filled)
            taken[filled : filled + used] = piece[:used]
            if used < len(piece):
                self._pieces.appendleft(piece[used:])
            filled += used
        self.samples -= filled
        return taken


def samples_of(frame: AudioFrame) -> Samples:
    """A frame of 16-bit sound as stereo, a row for each sample."""
    channels = len(frame.layout.channels)
    mono_or_stereo = frame.to_ndarray().reshape(-1, channels).astype(np.int32)
    return np.repeat(mono_or_stereo, 2, axis=1) if channels == 1 else mono_or_stereo


def stereo(samples: Samples, like: AudioFrame | None) -> AudioFrame:
    """A frame of the samples, cut off at full scale; its clock is that of ``like``, or ours."""
    flat = np.clip(samples, -32768, 32767).astype(np.int16).reshape(1, -1)
    frame = AudioFrame.from_ndarray(flat, format="s16", layout="stereo")
    frame.sample_rate = like.sample_rate if like is not None else SAMPLE_RATE
    frame.time_base = like.time_base if like is not None else TIME_BASE
    return frame


def rms(frame: AudioFrame) -> float:
    """Loudness of 16-bit sound, 0 to 1 of full scale."""
    samples = frame.to_ndarray().astype(np.float64)
    return float(np.sqrt(np.mean(np.square(samples)))) / 32768 if samples.size else 0.0


def blank() -> AudioFrame:
    """20 ms of silence."""
    return AudioFrame.from_ndarray(np.zeros((1, FRAME_SAMPLES), np.int16), format="s16", layout="mono")
