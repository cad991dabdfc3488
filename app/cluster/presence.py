"""Who is there, in a cluster: each node stores whose sockets it has, and the table decides what users are told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from app.calls.call import LiveCall
from app.calls.journal import RETRY_EVERY_S, Journal
from app.calls.presence import Pace, Presence, Sockets, nobody_is_away
from app.calls.registry import Registry
from app.ledger.errors import LedgerUnavailable
from app.person import Person
from app.tasks import Tasks

log = logging.getLogger(__name__)


class ClusterPresence(Presence):
    """As ``Presence``, over all nodes."""

    def __init__(
        self,
        sockets: Sockets,
        registry: Registry,
        journal: Journal,
        pace: Pace | None = None,
        is_away: Callable[[str], bool] = nobody_is_away,
    ) -> None:
        super().__init__(sockets, registry, journal, pace, is_away)
        self._tasks = Tasks()
        self._changed: dict[Person, bool] = {}  # whose sockets came or went, which is not stored yet

    async def is_online(self, person: Person) -> bool:
        return self.online(person) or await self._journal.ledger.is_connected(person)

    def look_at(self, otomo_id: str, after_s: float = 0.0) -> None:
        """Have users told of an otomo what has become so, if anything has."""
        self._tasks.start(self._tell(otomo_id, after_s), f"status of otomo {otomo_id}")

    async def shut_down(self) -> None:
        """Store and tell nothing more."""
        await self._tasks.close()

    def decided(self, person: Person) -> None:
        if person.role == "otomo" and self.online(person):
            self.look_at(person.id)

    def _changes(self, person: Person, online: bool) -> None:
        under_way = person in self._changed
        self._changed[person] = online
        if not under_way:
            self._tasks.start(self._store(person), f"sockets of {person}")

    def call_stored(self, call: LiveCall) -> None:
        self.look_at(call.otomo_id)
        self._tasks.start(self._note_sockets(call), f"sockets of the parties of call {call.id}")

    def _busy_changed(self, person: Person, busy: bool) -> None:
        if person.role == "otomo" and not busy:  # else the call is not stored yet
            self.look_at(person.id)

    async def _note_sockets(self, call: LiveCall) -> None:
        """Whether the parties have a socket, on whichever node: one that has none later has lost it."""
        with suppress(LedgerUnavailable):
            for party in call.liveness.values():
                party.had_socket = party.had_socket or await self.is_online(party.person)

    async def _store(self, person: Person) -> None:
        """Until what is stored is what is so."""
        stored: bool | None = None
        while stored != self._changed[person]:
            online = self._changed[person]
            try:
                await self._journal.ledger.set_connected(person, connected=online)
                stored = online
            except LedgerUnavailable as error:
                log.warning("that %s is connected, or not, is stored later: %s", person, error)
                await asyncio.sleep(RETRY_EVERY_S)
        del self._changed[person]
        if person.role == "otomo":
            self.look_at(person.id, 0.0 if stored else self._pace.offline_after_s)

    async def _tell(self, otomo_id: str, after_s: float) -> None:
        offline_after_ms, every_ms = (round(1000 * s) for s in (self._pace.offline_after_s, self._pace.at_most_every_s))
        while True:
            await asyncio.sleep(after_s)
            try:
                told = await self._journal.tell_status(otomo_id, offline_after_ms, every_ms)
            except LedgerUnavailable as error:
                log.warning("the status of otomo %s is told later: %s", otomo_id, error)
                after_s = RETRY_EVERY_S
            else:
                if not told.wait_ms:
                    return
                after_s = told.wait_ms / 1000
