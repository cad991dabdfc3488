"""A clip: the Opus packets of an Ogg file (RFC 7845), which are sent as they are. Decodes nothing.

Receivers play what comes, so a clip must be what they expect: 20 ms a packet, one or two channels, no gain of its own.
"""

from __future__ import annotations

from typing import NamedTuple

from app.media import ogg
from app.media.ogg import OggError
from app.media.opus import RATE, TAGS_MAGIC, OpusError, OpusHead, samples_of

FRAME_MS = 20
FRAME_SAMPLES = RATE * FRAME_MS // 1000
MOST_BYTES = 16 * 1024 * 1024  # of a file: more than an hour of speech
LONGEST_PACKET = 1275  # bytes of one frame (RFC 6716 §3.2.1); fits into an RTP packet of any network


class ClipError(ValueError):
    """A file that can't be played; the text says why, as the end of a sentence that begins with its name."""


class Clip(NamedTuple):
    name: str
    channels: int
    packets: tuple[bytes, ...]

    @property
    def duration_ms(self) -> int:
        return FRAME_MS * len(self.packets)


def read_clip(name: str, data: bytes) -> Clip:
    """Raises ClipError."""
    try:
        packets = list(ogg.packets(data))
        head = OpusHead.parse(packets[0])
        check_head(head)
        check_sound(packets[1:])
    except (OggError, OpusError) as error:
        raise ClipError(str(error)) from error
    return Clip(name, head.channels, tuple(packets[2:]))


def check_head(head: OpusHead) -> None:
    """Raises OpusError."""
    if head.mapping or head.channels not in (1, 2):
        raise OpusError(
            f"has {head.channels} channels of mapping {head.mapping}, where 1 or 2 of mapping 0 can be sent"
        )
    if head.input_rate not in (0, RATE):
        raise OpusError(f"was made of sound at {head.input_rate} Hz, not {RATE}")
    if head.gain:
        raise OpusError(f"has a gain of {head.gain / 256:.1f} dB, which nobody who receives it would apply")


def check_sound(packets: list[bytes]) -> None:
    """What follows on the head: tags, then sound. Raises OpusError."""
    if not packets or not packets[0].startswith(TAGS_MAGIC):
        raise OpusError("lacks the second header of Ogg Opus")
    if len(packets) == 1:
        raise OpusError("has no sound in it")
    for at, packet in enumerate(packets[1:]):
        samples = samples_of(packet)
        if samples != FRAME_SAMPLES:
            raise OpusError(f"has a packet of {1000 * samples / RATE:g} ms (number {at}), not {FRAME_MS}")
        if len(packet) > LONGEST_PACKET:
            raise OpusError(f"has a packet of {len(packet)} bytes (number {at}), of {LONGEST_PACKET} at most")
