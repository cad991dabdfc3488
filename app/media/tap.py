"""What the parties of one room send, as RTP packets in this process: one transport to it, and one consumer for each
producer, however many listen. It belongs to no party, and is counted as nobody's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from app.media.room import Room
from schemas.types import PartyRole
from worker_bridge.direct_transport import DirectTransport
from worker_bridge.errors import BridgeError
from worker_bridge.producer import Producer

PacketSink = Callable[[PartyRole, bytes, float], None]
"""Gets the party that has sent a packet, the packet (RFC 3550 §5.1), and when it came, in monotonic seconds. It must be
quick and raise nothing."""

Start = Callable[[Coroutine[Any, Any, None], str], object]
"""Starts a task of that name."""


class Tap:
    """Sound only. ``sink`` gets every packet; each producer has an SSRC of its own, and none of a paused one comes.
    ``start`` starts its tasks."""

    def __init__(self, room: Room, sink: PacketSink, start: Start) -> None:
        self._room = room
        self._sink = sink
        self._start = start
        self._transport: DirectTransport | None = None
        self._making = asyncio.Lock()
        self._closed = False
        for owned in tuple(room.producers.values()):
            self.follow(owned.party, owned.producer)

    def follow(self, party: PartyRole, producer: Producer) -> None:
        """Have the packets of a party's producer from now on. It ends with its producer."""
        if producer.kind == "audio" and not self._closed:
            self._start(self._consume(party, producer), f"{self._room!r} is tapped")

    def close(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    async def _consume(self, party: PartyRole, producer: Producer) -> None:
        router, sink, clock = self._room.router, self._sink, time.monotonic
        with suppress(BridgeError):  # it closed a moment ago, or its worker is gone
            async with self._making:
                if self._transport is None:
                    self._transport = await router.create_direct_transport()
                if self._closed:
                    self._transport.close()
                    return
                consumer = await self._transport.consume(producer.id, router.rtp_capabilities, paused=True)
            consumer.on_rtp(lambda packet: sink(party, packet, clock()))
            await consumer.resume()
