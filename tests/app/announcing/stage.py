"""A call in a room of a real worker, and somebody who hears what the node plays in it."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from app.announcing.clip import Clip
from app.calls.call import LiveCall
from app.clock import now
from app.media.opus import RATE
from app.media.room import Room
from app.media.rooms import Rooms
from app.tariffs import Terms
from schemas.call import CallState
from schemas.types import PartyRole
from tests.app.media.rooms_on_worker import listening, rooms_on_worker
from tests.conftest import eventually
from worker_bridge.native import NativeWorker

CELT_20_MS = bytes([31 << 3])


def clip(name: str, packets: int) -> Clip:
    """A clip of packets that tell its name and their number."""
    return Clip(name, 1, tuple(CELT_20_MS + f"{name} {at}".encode() for at in range(packets)))


class Packet(NamedTuple):
    marked: bool
    sequence: int
    timestamp: int
    payload: bytes

    @property
    def text(self) -> str:
        return self.payload[1:].decode()


class Listener:
    """Hears a producer on a transport of this process, as RTP."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []

    def hear(self, packet: bytes) -> None:
        first, marked, sequence, timestamp = struct.unpack_from("!BBHI", packet)
        start = 12 + (4 + 4 * struct.unpack_from("!H", packet, 14)[0] if first & 0x10 else 0)
        self.packets.append(Packet(bool(marked & 0x80), sequence, timestamp, packet[start:]))

    @property
    def texts(self) -> list[str]:
        return [one.text for one in self.packets]

    async def heard(self, packets: int) -> None:
        await eventually(lambda: len(self.packets) < packets and f"{len(self.packets)} of {packets} packets")


async def listen(room: Room, producer_id: str) -> Listener:
    listener = Listener()
    transport = await room.router.create_direct_transport()
    consumer = await transport.consume(producer_id, room.router.rtp_capabilities, paused=True)
    consumer.events.on("rtp", listener.hear)
    await consumer.resume()
    return listener


class Stage(NamedTuple):
    rooms: Rooms
    call: LiveCall

    async def enter(self) -> Room:
        """The call's next room."""
        room = await self.rooms.open(self.call.id, self.call.parties, self.call.epoch)
        self.call.room = room
        return room

    async def receive(self, party: PartyRole, producer_id: str) -> str:
        """A party's consumer of what is offered, resumed."""
        room = self.call.room
        assert room is not None
        own = [one.transport.id for one in room.transports.values() if (one.party, one.direction) == (party, "recv")]
        transport_id = own[0] if own else (await room.create_transport(party, "recv")).id
        consumer = await room.consume(party, listening(transport_id, producer_id))
        await room.resume_consumer(party, consumer.id)
        return consumer.id


@asynccontextmanager
async def staged(native: NativeWorker) -> AsyncIterator[Stage]:
    """A call that talks, in its first room."""
    async with rooms_on_worker(native, {}) as (rooms, _):
        call = LiveCall("call", "ann", "hana", Terms.by_unit(100), now(), CallState.TALKING)
        call.matched_at = call.connected_at = now()
        stage = Stage(rooms, call)
        await stage.enter()
        yield stage


def rtp_seconds(packets: list[Packet]) -> float:
    return (packets[-1].timestamp - packets[0].timestamp) % 2**32 / RATE
