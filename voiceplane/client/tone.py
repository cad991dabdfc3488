"""A tone that can be sent, and a receiver that measures what arrives. Knows audio frames, nothing of the network."""

from __future__ import annotations

import asyncio
from collections import deque
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame

SAMPLE_RATE = 48_000  # Hz, Opus' only RTP clock (RFC 7587 §4.1)
FRAME_SAMPLES = 960  # 20 ms
FRAMES_PER_SECOND = SAMPLE_RATE // FRAME_SAMPLES
AMPLITUDE = 0.3  # of full scale: loud enough to find, far from clipping
REMEMBERED_FRAMES = FRAMES_PER_SECOND  # the last second is analysed, so one FFT bin is 1 Hz wide
SILENCE = 0.01  # of full scale, RMS; Opus' comfort noise lies well below


class Tone(MediaStreamTrack):
    """A mono sine of `hz`, 20 ms a frame, paced by the monotonic clock; late frames follow at once: none is skipped.

    :param amplitude: of full scale.
    """

    kind = "audio"

    def __init__(self, hz: float, amplitude: float = AMPLITUDE) -> None:
        super().__init__()
        self.hz = hz
        self.amplitude = amplitude
        self.frames = 0  # handed to the encoder so far
        self._started_at = 0.0
        self._sent = asyncio.Condition()

    async def recv(self) -> AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        now = asyncio.get_running_loop().time()
        if self.frames == 0:
            self._started_at = now
        await asyncio.sleep(self._started_at + self.frames / FRAMES_PER_SECOND - now)
        if self.readyState != "live":  # stopped while it waited
            raise MediaStreamError
        start = self.frames * FRAME_SAMPLES
        phase = 2 * np.pi * self.hz * np.arange(start, start + FRAME_SAMPLES) / SAMPLE_RATE
        samples = (np.sin(phase) * self.amplitude * 32767).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE
        frame.pts = start
        frame.time_base = Fraction(1, SAMPLE_RATE)
        self.frames += 1
        async with self._sent:
            self._sent.notify_all()
        return frame

    async def sent(self, frames: int) -> None:
        """Wait until `frames` frames have gone out since the beginning."""
        async with self._sent:
            await self._sent.wait_for(lambda: self.frames >= frames)


class ToneReceiver:
    """Takes every frame off a received track: counts it, and keeps the last second to be analysed."""

    def __init__(self) -> None:
        self.frames = 0
        self.first_frame_at: float | None = None  # the loop's clock, seconds
        self._last_pts = 0  # of the last frame, in samples of the sender's clock since the first
        self._recent: deque[npt.NDArray[np.float64]] = deque(maxlen=REMEMBERED_FRAMES)
        self._windows: list[_Window] = []
        self._heard = asyncio.Condition()

    async def listen(self, track: MediaStreamTrack) -> None:
        """Run until the track ends."""
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, AudioFrame):
                await self._take(frame)

    async def _take(self, frame: AudioFrame) -> None:
        channels = len(frame.layout.channels)
        samples = frame.to_ndarray().reshape(-1, channels) if frame.format.is_packed else frame.to_ndarray().T
        self._recent.append(samples[:, 0].astype(np.float64) / 32768)
        self.frames += 1
        self._last_pts = frame.pts or 0
        for window in self._windows:
            window.take(self._last_pts)
        if self.first_frame_at is None:
            self.first_frame_at = asyncio.get_running_loop().time()
        async with self._heard:
            self._heard.notify_all()

    async def heard(self, frames: int) -> None:
        """Wait until `frames` frames have arrived since the beginning."""
        async with self._heard:
            await self._heard.wait_for(lambda: self.frames >= frames)

    async def count(self, frames: int, within_s: float) -> int:
        """How many of the sender's next `frames` frames arrive, by their timestamps and not by when they come.

        So a stalled machine loses nothing, and a later frame is not counted in place of a lost one.

        :param within_s: seconds after which what is missing counts as lost.
        """
        window = _Window(self._last_pts, self._last_pts + frames * FRAME_SAMPLES)
        self._windows.append(window)
        try:
            async with asyncio.timeout(within_s):
                await window.passed.wait()
        except TimeoutError:
            pass  # what has arrived is the answer
        finally:
            self._windows.remove(window)
        return window.frames

    def forget(self) -> None:
        """Drop the remembered second, so that the next analysis is only of what comes after."""
        self._recent.clear()

    def loudness(self) -> float:
        """RMS of the remembered sound, 0 to 1 of full scale; 0 where nothing is remembered."""
        if not self._recent:
            return 0.0
        return float(np.sqrt(np.mean(np.square(np.concatenate(self._recent)))))

    def dominant_hz(self) -> float:
        """The strongest frequency in Hz of the remembered sound; 0 for silence."""
        if self.loudness() < SILENCE:
            return 0.0
        samples = np.concatenate(self._recent)
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        return float(np.argmax(spectrum) * SAMPLE_RATE / len(samples))

    def loudness_of(self, hz: float) -> float:
        """The amplitude of a sine of that frequency in the remembered sound, 0 to 1 of full scale."""
        if not self._recent:
            return 0.0
        samples = np.concatenate(self._recent)
        turn = np.exp(-2j * np.pi * hz * np.arange(len(samples)) / SAMPLE_RATE)
        window = np.hanning(len(samples))
        return float(2 * np.abs(np.dot(samples * window, turn)) / np.sum(window))


class _Window:
    """A stretch of the sender's clock, `after` exclusive to `until` inclusive, and how many frames of it arrived."""

    def __init__(self, after: int, until: int) -> None:
        self._after = after
        self._until = until
        self.frames = 0
        self.passed = asyncio.Event()

    def take(self, pts: int) -> None:
        self.frames += self._after < pts <= self._until
        if pts >= self._until:
            self.passed.set()
