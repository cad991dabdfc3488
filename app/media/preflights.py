"""Preflights: rooms in which one person hears nobody but themselves, to see whether a call would have sound.

A preflight is nobody's call: nothing of it is stored, charged or told, and nobody is busy for it. A person has one, for
half a minute at most.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

from app.clock import Moment, now, shifted
from app.errors import Forbidden, RoomNotFound
from app.media.offers import Offer
from app.media.packet_rate import PacketRate, most_packets
from app.media.room import Room
from app.media.rooms import Rooms
from app.person import Parties, Person
from app.tasks import Tasks
from schemas.signaling import PauseReason, ProducerChange
from schemas.types import UUID_PATTERN, PartyRole
from worker_bridge.errors import BridgeError
from worker_bridge.ids import uuids
from worker_bridge.producer import Producer
from worker_bridge.resource import CloseReason

LIFE_S = 30.0
LOOK_EVERY_S = 1.0
PREFIX: Final = "preflight_"  # and a UUID, which says whose node it is as all our UUIDs do
NOBODY = ""  # the id of the other party, which no token can name

logger = logging.getLogger(__name__)


def object_id_of(call_id: str) -> str | None:
    """The UUID in a preflight's id; None of any other id."""
    found = re.fullmatch(f"{PREFIX}({UUID_PATTERN})", call_id)
    return found[1] if found else None


class Preflight:
    """One person's room, until ``until``. ``gone`` is called once, when the room has closed, for whatever reason."""

    def __init__(self, person: Person, room: Room, until: Moment, gone: Callable[[Preflight], None]) -> None:
        self.person = person
        self.room = room
        self.until = until
        self._gone = gone

    @property
    def id(self) -> str:
        return self.room.call_id

    # as the room's watcher

    def set_up(self) -> None:
        pass

    def producer_changed(
        self, change: ProducerChange, party: PartyRole, producer: Producer, reason: PauseReason | None
    ) -> None:
        pass

    def offer_changed(self, change: ProducerChange, offer: Offer, told: Collection[PartyRole]) -> None:
        pass

    def first_packet(self, party: PartyRole, producer: Producer, at: Moment) -> None:
        pass

    def closed(self, _: CloseReason) -> None:
        self._gone(self)


class Preflights:
    """This node's. ``admit`` raises where no call may begin, ``new_id`` makes UUIDs where they are to tell more
    than random ones; ``max_packets_per_second`` is for one producer of sound, and 0 is no limit."""

    def __init__(
        self,
        rooms: Rooms,
        admit: Callable[[], None],
        new_id: Callable[[], str] | None,
        max_packets_per_second: float,
        life_s: float = LIFE_S,
    ) -> None:
        self._rooms = rooms
        self._admit = admit
        self._new_id = new_id or uuids().__next__
        self._max_packets_per_second = max_packets_per_second
        self._life_s = life_s
        self._by_id: dict[str, Preflight] = {}
        self._by_person: dict[Person, Preflight] = {}
        self._tasks = Tasks()

    def __len__(self) -> int:
        return len(self._by_id)

    async def open(self, person: Person) -> Preflight:
        """A new room for a person, in place of the one before.

        Raises Forbidden for admins, who take part in no call; what ``admit`` raises; WorkerUnavailable where no worker
        can take it.
        """
        parties = alone(person)
        self._admit()
        room = await self._rooms.open(PREFIX + self._new_id(), parties, 1, hears_itself=True)
        try:
            self._admit()  # the node may have begun to drain meanwhile
        except BaseException:
            room.close()
            raise
        if (before := self._by_person.get(person)) is not None:
            before.room.close()
        present = now()
        until = shifted(present, present.monotonic + self._life_s)
        preflight = room.watcher = Preflight(person, room, until, self._forget)
        self._by_id[preflight.id] = self._by_person[person] = preflight
        self._tasks.start(self._watch(room), f"{preflight.id} ends in time")
        return preflight

    def room(self, call_id: str, person: Person | None = None) -> Room | None:
        """The room of a preflight; None where it is none of ours. Raises Forbidden where ``person`` is given, and it is
        another's."""
        found = self._by_id.get(call_id)
        if found is None:
            return None
        if person is not None and person != found.person:
            raise Forbidden(f"{call_id} is not {person}'s")
        return found.room

    def end(self, call_id: str, person: Person) -> None:
        """Raises RoomNotFound, Forbidden."""
        room = self.room(call_id, person)
        if room is None:
            raise RoomNotFound(call_id)
        room.close()

    def end_all(self) -> None:
        for preflight in list(self._by_id.values()):
            preflight.room.close()

    async def close(self) -> None:
        self.end_all()
        await self._tasks.close()

    def _forget(self, preflight: Preflight) -> None:
        del self._by_id[preflight.id]
        if self._by_person.get(preflight.person) is preflight:
            del self._by_person[preflight.person]

    async def _watch(self, room: Room) -> None:
        """Close it when its time is over, or where somebody floods it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._life_s):
                while not room.router.closed:
                    await asyncio.sleep(LOOK_EVERY_S)
                    if await self._floods(room):
                        break
        room.close()

    async def _floods(self, room: Room) -> bool:
        for owned in list(room.producers.values()):
            try:
                stats = await owned.producer.get_stats()
            except BridgeError:  # it has closed meanwhile
                continue
            count = sum(one["packet_count"] for one in stats)
            if owned.rate is None:
                owned.rate = PacketRate(owned.since)
            rate = owned.rate.after(count, now().monotonic)
            most = most_packets(owned.producer.kind, self._max_packets_per_second)
            if rate is not None and most and rate > most:
                logger.warning("%s: %.0f packets a second of %s", room.call_id, rate, room.parties.person(owned.party))
                return True
        return False


def alone(person: Person) -> Parties:
    """The parties of a room in which that person is alone. Raises Forbidden for admins."""
    match person.role:
        case "user":
            return Parties(person, Person("otomo", NOBODY))
        case "otomo":
            return Parties(Person("user", NOBODY), person)
        case _:
            raise Forbidden(f"{person} takes part in no call")
