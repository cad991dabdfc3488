"""Parties of a room that send from this process, packet by packet."""

from __future__ import annotations

from app.media.party_objects import PartyTransport
from app.media.room import Room
from schemas.types import PartyRole
from tests.app.media.rooms_on_worker import microphone
from tests.worker_bridge.rtp_packets import Rtp
from worker_bridge.producer import Producer

FRAME_TICKS = 960  # 20 ms of Opus


class Speaker:
    """A party's microphone."""

    def __init__(self, producer: Producer, ssrc: int) -> None:
        self.producer = producer
        self._ssrc = ssrc

    def send(self, number: int, payload: bytes = b"\xf8voice") -> None:
        """The packet with that number, at its time."""
        packet = Rtp(self._ssrc, 111, number, number * FRAME_TICKS, payload)
        self.producer.send(bytes(packet))


async def speaking(room: Room, party: PartyRole = "user", ssrc: int = 1) -> Speaker:
    """A party that is about to send, over a transport that the room knows for as long as it is asked for it."""
    transport = await room.router.create_direct_transport()
    room.transports[transport.id] = PartyTransport(transport, "send", party=party)  # type: ignore[arg-type]
    producer = await room.produce(party, microphone(transport.id, ssrc))
    del room.transports[transport.id]
    return Speaker(producer, ssrc)
