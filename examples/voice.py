"""Somebody to have in a room: a voice that sings one tone, as Opus, from this process. Other examples use it.

A direct transport carries the packets: no socket, no ICE. In a real call they come from a browser instead, and nothing
of what the other examples do with the producer changes.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from fractions import Fraction
from itertools import count

import av
import numpy as np

from worker_bridge import (
    Producer,
    ResourceClosed,
    Router,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpHeaderExtensionParameters,
    RtpParameters,
)

OPUS = RtpCodecCapability("audio", "audio/opus", 48000, channels=2)
PAYLOAD_TYPE = 111
RATE = 48_000  # Hz: the only RTP clock that Opus has (RFC 7587 §4.1)
FRAME = 960  # samples: 20 ms
AUDIO_LEVEL, AUDIO_LEVEL_ID = "urn:ietf:params:rtp-hdrext:ssrc-audio-level", 1
LEVEL_OF_SINE = -3  # dBov of the loudest sine there can be
SYLLABLE, BREATH = 12, 4  # packets, and how many of them are quiet
QUIETER = 20  # dB


@asynccontextmanager
async def singing(
    router: Router, hz: float, dbov: int = -13, ssrc: int = 1, *, syllables: bool = False
) -> AsyncIterator[Producer]:
    """A producer in ``router`` that is fed with a tone of ``hz``, as loud as ``dbov``, until the block ends.

    With ``syllables`` it stops for breath, as speech does: who looks for speakers takes a steady tone for noise.
    """
    async with await router.create_direct_transport() as transport:
        producer = await transport.produce(
            "audio",
            RtpParameters(
                codecs=(RtpCodecParameters("audio/opus", PAYLOAD_TYPE, RATE, channels=2),),
                header_extensions=(RtpHeaderExtensionParameters(AUDIO_LEVEL, AUDIO_LEVEL_ID),),
                encodings=(RtpEncodingParameters(ssrc=ssrc),),
            ),
        )
        song = asyncio.create_task(_sing(producer, hz, dbov, ssrc, syllables), name=f"song of {hz:g} Hz")
        try:
            yield producer
        finally:
            song.cancel()
            with suppress(asyncio.CancelledError, ResourceClosed):  # who closes the producer ends the song, too
                await song


async def _sing(producer: Producer, hz: float, dbov: int, ssrc: int, syllables: bool) -> None:
    clock = asyncio.get_running_loop().time
    started = clock()
    encoder = _encoder()
    for number in count():
        level = dbov - QUIETER if syllables and number % SYLLABLE >= SYLLABLE - BREATH else dbov
        await asyncio.sleep(started + number * FRAME / RATE - clock())
        for packet in encoder.encode(_tone(number * FRAME, hz, level)):
            producer.send(_rtp(bytes(packet), number, ssrc, level))


def _encoder() -> av.AudioCodecContext:
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.format, encoder.layout = RATE, av.AudioFormat("s16"), av.AudioLayout("stereo")
    encoder.time_base = Fraction(1, RATE)
    return encoder


def _tone(start: int, hz: float, dbov: int) -> av.AudioFrame:
    amplitude = 32767 * 10 ** ((dbov - LEVEL_OF_SINE) / 20)
    wave = amplitude * np.sin(2 * np.pi * hz * np.arange(start, start + FRAME) / RATE)
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, 2).astype(np.int16).reshape(1, -1), "s16", "stereo")
    frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
    return frame


def _rtp(payload: bytes, number: int, ssrc: int, dbov: int) -> bytes:
    """RFC 3550 §5.1, with one header extension in one-byte form (RFC 8285 §4.2): the audio level (RFC 6464 §3)."""
    header = struct.pack("!BBHII", 0x90, PAYLOAD_TYPE, number % 2**16, number * FRAME % 2**32, ssrc)
    speaks, length = 0x80, 1
    level = bytes([AUDIO_LEVEL_ID << 4 | length - 1, speaks | -dbov, 0, 0])
    return header + struct.pack("!HH", 0xBEDE, 1) + level + payload
