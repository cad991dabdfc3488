"""A producer of the node's own in a room, which sends clips as RTP to the pacer's beat (RFC 7587)."""

from __future__ import annotations

import asyncio
import secrets
import struct
from collections.abc import Callable, Collection
from contextlib import suppress

from app.announcing.clip import FRAME_SAMPLES, Clip
from app.announcing.pacer import Pacer
from app.media.offers import Offer
from app.media.opus import RATE
from app.media.room import Room
from schemas.signaling import ProducerSource
from schemas.types import PartyRole
from worker_bridge.direct_transport import DirectTransport
from worker_bridge.errors import BridgeError
from worker_bridge.producer import Producer
from worker_bridge.rtp import RtpCodecParameters, RtpEncodingParameters, RtpParameters

PAYLOAD_TYPE = 100
MARKER = 0x80  # on the first packet after silence (RFC 3551 §4.1)
RTP = struct.Struct("!BBHII")  # RFC 3550 §5.1


class Track:
    """Made by :meth:`open`, closed by :meth:`close` or with its room. Plays one clip at a time."""

    def __init__(self, room: Room, transport: DirectTransport, producer: Producer, ssrc: int, offer: Offer) -> None:
        self._room = room
        self._transport = transport
        self._producer = producer
        self._ssrc = ssrc
        self._offer = offer
        self._sequence = secrets.randbits(15)  # RFC 3550 §5.1: at random, and not near where it wraps
        self._timestamp = secrets.randbits(32)
        self._clip: Clip | None = None
        self._at = 0  # the packet to come
        self._again = False
        self._talks = False
        self._done: asyncio.Future[bool] | None = None
        self._noticed = asyncio.Event()  # that somebody receives it, or that it has closed
        self._stop: Callable[[], None] | None = None
        producer.on_closed(self._closed)

    @classmethod
    async def open(cls, room: Room, source: ProducerSource, to: Collection[PartyRole], pacer: Pacer) -> Track:
        """Those in ``to`` are told of it. Raises BridgeError where the room closes."""
        transport = await room.router.create_direct_transport()
        try:
            ssrc = secrets.randbits(32)
            codec = RtpCodecParameters("audio/opus", PAYLOAD_TYPE, RATE, channels=2)
            parameters = RtpParameters(codecs=(codec,), encodings=(RtpEncodingParameters(ssrc=ssrc),))
            producer = await transport.produce("audio", parameters)
        except BaseException:
            transport.close()
            raise
        track = cls(room, transport, producer, ssrc, room.offer(producer, source, to))
        track._stop = pacer.join(track._beat)
        return track

    @property
    def closed(self) -> bool:
        return self._producer.closed

    def close(self) -> None:
        self._transport.close()

    def is_heard(self) -> bool:
        """Whether anybody receives it."""
        return any(
            one.consumer.producer_id == self._producer.id and not one.consumer.paused
            for one in self._room.offer_consumers.values()
        )

    async def heard(self, within_s: float) -> bool:
        """Wait until somebody receives it, or it closes; returns whether somebody does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._noticed.wait()
        return not self.closed and self.is_heard()

    async def play(self, clip: Clip, *, begin: int = 0, again: bool = False) -> bool:
        """Play a clip from packet ``begin`` on, ``again`` and again without an end. Returns False where the track
        closed before its end."""
        if self.closed:
            return False
        self._clip, self._at, self._again = clip, begin % len(clip.packets), again
        self._done = asyncio.get_running_loop().create_future()
        try:
            return await self._done
        finally:
            self._clip = self._done = None

    @property
    def at(self) -> int:
        """The packet that is to come."""
        return self._at

    def _beat(self, number: int) -> None:
        if not self._noticed.is_set() and self.is_heard():
            self._noticed.set()
        clip = self._clip
        if clip is None or self._producer.closed:
            self._talks = False
            return
        marked = PAYLOAD_TYPE if self._talks else PAYLOAD_TYPE | MARKER
        timestamp = (self._timestamp + number * FRAME_SAMPLES) & 0xFFFF_FFFF
        packet = RTP.pack(0x80, marked, self._sequence, timestamp, self._ssrc) + clip.packets[self._at]
        with suppress(BridgeError):  # its worker has died: it closes in a moment
            self._producer.send(packet)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._talks = True
        self._at += 1
        if self._at == len(clip.packets):
            self._at = 0
            if not self._again:
                self._clip = None
                self._finish(played=True)

    def _finish(self, *, played: bool) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(played)

    def _closed(self, _: Producer) -> None:
        if self._stop is not None:
            self._stop()
        self._noticed.set()
        self._finish(played=False)
