"""This node's place in the cluster: it beats, sees who else does, and finds out who is dead.

A beat goes every 0.3 s through one session of PostgreSQL, which also holds a lock in the node's name and hears the bell
of new events. A node that has been steady for a whole lease may declare another one dead: its beat is older than the
lease; or it has missed one, its lock is free, since the server saw the process's socket close, and its machine refuses
connections to it or its beat is older than 0.9 s. An outage that all share makes nobody steady, and so kills nobody.
What makes this safe is not the lease, but the row of each call, which names its node and is compared with every write
(``app/ledger/changes.py``).
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.ledger.claim import CLAIM, Claim
from app.ledger.database import database_url, unavailable
from app.ledger.errors import DatabaseClaimed, LedgerUnavailable
from app.ledger.events import BELL
from app.ledger.nodes import (
    DEATH_BELL,
    Joining,
    Node,
    beat,
    declare_gone,
    everybody,
    join,
    new_incarnation,
    set_state,
    with_live_calls,
)
from app.ledger.postgresql import PostgresDatabase

BEAT_EVERY_S = 0.3
SHARED_FOR_S = 0.5  # how long a node leaves the others their share of the calls of a dead one
ANSWER_WITHIN_S = 2.0  # asyncpg notices a peer that is gone without a word in no other way
WRITERS_WAIT_S = 1.0  # for a beat that is late
MISSED_MS = 450  # a beat is late
SILENT_MS = 900  # three beats
REFUSES_WITHIN_S = 0.2
CLOCK_STEP_MS = 1  # of the rows' times
RETRY_EVERY_S = 0.2
NODE_LOCK = 0x566F6963  # the first half of an advisory lock; the second is the node's number

HOLDS_ITS_LOCK = text(
    """SELECT EXISTS (
         SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = :lock AND objid = :number AND objsubid = 2
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       )"""
)
"""Seen and not tried: who tries a lock has it for a moment, in which its owner may come back for it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class View:
    """Who is in the cluster, as a beat saw it at a monotonic time. ``gone`` are those whose rows are there yet, with as
    many calls as nobody has adopted."""

    me: Node
    others: tuple[Node, ...]
    gone: tuple[Node, ...]
    at: float

    def by_incarnation(self, incarnation: str) -> Node | None:
        """Of the others."""
        return next((one for one in self.others if one.incarnation == incarnation), None)

    def share(self) -> int:
        """How many of the calls that the dead have left this node has to take, so that all nodes which take calls have
        alike many. The shares of all are enough for all of these calls."""
        if self.me.state != "up":
            return 0
        have = [one.calls for one in (self.me, *self.others) if one.state == "up"]
        each = math.ceil((sum(have) + sum(one.calls for one in self.gone)) / len(have))
        return max(0, each - self.me.calls)

    def until_next_s(self, lease_s: float) -> float:
        """From this beat to the next: sooner where the silence of one that is late becomes too long before that."""
        silent_ms = (self.me.beat_ms - one.beat_ms for one in self.others)
        late_ms = [silent for silent in silent_ms if silent > 1000 * BEAT_EVERY_S]
        left_ms = (limit - silent for limit in (MISSED_MS, SILENT_MS, 1000 * lease_s) for silent in late_ms)
        return min([BEAT_EVERY_S, *((left + CLOCK_STEP_MS) / 1000 for left in left_ms if left >= 0)])

    def by_number(self, number: int) -> Node | None:
        return next((one for one in (self.me, *self.others) if one.number == number), None)


class Membership(Claim):
    """Made by :meth:`joined`. It is the ledger's guard: a node that does not beat writes nothing.

    The listeners are set by whoever wires. ``load`` says the node's stress and how many calls it has; ``on_bell`` is
    called when events were stored somewhere, ``on_orphans(share)`` at each beat while something of dead nodes is left,
    with how many of their calls this node has to take; ``on_lost`` when this node has been declared dead: it has lost
    its calls, and joins again under the name that it is given. None of these may wait. ``is_dead`` asks the others
    whether this node is, which the database can't say then.
    """

    def __init__(self, engine: AsyncEngine, joining: Joining, me: Node, lease_s: float) -> None:
        self._engine = engine
        self._joining = joining
        self._lease_s = lease_s
        self._view = View(me, (), (), time.monotonic())
        self._beaten = asyncio.Event()
        self._died: dict[str, float] = {}  # when this node first saw that a node is dead, by incarnation
        self._death_told = asyncio.Event()
        self.buried = 0  # nodes that this one has declared dead
        self.load: Callable[[], tuple[float, int]] = lambda: (0.0, 0)
        self.on_bell: Callable[[], None] = lambda: None
        self.on_orphans: Callable[[int], None] = lambda _: None
        self.on_lost: Callable[[str], None] = lambda _: None
        self.is_dead: Callable[[View], Awaitable[bool]] = not_dead

    @classmethod
    @asynccontextmanager
    async def joined(cls, url: str, joining: Joining, lease_s: float) -> AsyncIterator[Membership]:
        """Part of the cluster on the database at ``url``, whose schema is this release's, until the block is left.

        Raises DatabaseClaimed where a node that is alone has it, Misfit, LedgerUnavailable.
        """
        async with PostgresDatabase.open(database_url(url), ANSWER_WITHIN_S, joining.session) as database:
            engine = database.engine
            async with engine.begin() as tx:
                me = await tx.run_sync(join, joining)
            membership = cls(engine, joining, me, lease_s)
            beating = asyncio.create_task(membership._run(), name="beat")
            try:
                await membership._first_beat(beating)
                yield membership
            finally:
                beating.cancel()
                await asyncio.wait([beating])
                await membership._set_state("gone")

    @property
    def node(self) -> str:
        return self._view.me.incarnation

    @property
    def view(self) -> View:
        return self._view

    def least_stressed(self) -> Node | None:
        """Of two other nodes that take calls, picked at random, the less stressed: so that not all go to one."""
        others = [one for one in self._view.others if one.state == "up"]
        return min(random.sample(others, min(2, len(others))), key=lambda one: one.stress, default=None)

    @property
    def beat_age_s(self) -> float:
        """How long ago the database heard of this node."""
        return time.monotonic() - self._view.at

    def clock_ms(self) -> int:
        """The database's clock."""
        view = self._view
        return view.me.beat_ms + round(1000 * (time.monotonic() - view.at))

    # the ledger's guard

    def check(self) -> None:
        """Raises LedgerUnavailable where the node has not beaten for so long that it may have been declared dead."""
        silent_s = time.monotonic() - self._view.at
        if silent_s > self._lease_s:
            raise LedgerUnavailable(f"the database has not heard of this node for {silent_s:.1f} s")

    async def require(self) -> None:
        if time.monotonic() - self._view.at > self._lease_s:
            self._beaten.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(WRITERS_WAIT_S):
                    await self._beaten.wait()
        self.check()

    async def drain(self, *, draining: bool) -> None:
        """Have the others know that no call is to come here any more; or that it may. Raises LedgerUnavailable."""
        await self._set_state("draining" if draining else "up")

    # inside

    async def _first_beat(self, beating: asyncio.Task[None]) -> None:
        beaten = asyncio.create_task(self._beaten.wait())
        await asyncio.wait([beaten, beating], return_when=asyncio.FIRST_COMPLETED)
        beaten.cancel()
        if beating.done():
            beating.result()

    async def _run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                async with self._session() as session:
                    await self._beat(session)
            except DatabaseClaimed:
                if not self._beaten.is_set():
                    raise
            except Exception as error:  # whatever it is: the next session tries again
                log.warning("the beat is late: %s", unavailable(error))
                await self._ask_others()
            await asyncio.sleep(RETRY_EVERY_S)

    async def _ask_others(self) -> None:
        """Whether they have declared this node dead, which the database can't tell it. Then its calls are theirs."""
        if time.monotonic() - self._view.at > self._lease_s and await self.is_dead(self._view):
            log.critical("the others have declared node %s dead: it lets go of its calls", self._joining.name)
            self.on_lost(self.node)

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AsyncConnection]:
        """With the locks that say that this process lives, and an ear on the bell."""
        async with asyncio.timeout(ANSWER_WITHIN_S):
            connection = await self._engine.connect()
        try:
            session = await connection.execution_options(isolation_level="AUTOCOMMIT")
            async with asyncio.timeout(ANSWER_WITHIN_S):
                if not await session.scalar(select(func.pg_try_advisory_lock_shared(CLAIM))):
                    raise DatabaseClaimed("a node that is alone has the database")
                await session.scalar(select(func.pg_try_advisory_lock(NODE_LOCK, self._view.me.number)))
                driver: Any = (await session.get_raw_connection()).driver_connection
                await driver.add_listener(BELL, lambda *_: self.on_bell())
                await driver.add_listener(DEATH_BELL, lambda *_: self._death_told.set())
            yield session
        finally:
            await connection.invalidate()  # never back into the pool, where it would keep the locks
            await connection.close()

    async def _beat(self, session: AsyncConnection) -> None:
        """While the session lives, or until this node has been declared dead."""
        opened = time.monotonic()
        while True:
            began = time.monotonic()
            async with asyncio.timeout(ANSWER_WITHIN_S):
                me = await session.run_sync(beat, self.node, *self.load())
                if me is None:
                    await self._join_again()
                    return
                everybody_: Sequence[Node] = await session.run_sync(everybody)
                await self._bury(session, 1000 * (began - opened), me, everybody_)
                if any(one.state == "gone" for one in everybody_):
                    me, *everybody_ = await session.run_sync(with_live_calls, (me, *everybody_))
            gone = tuple(one for one in everybody_ if one.state == "gone")
            others = tuple(one for one in everybody_ if one.number != me.number and one.state != "gone")
            self._view = View(me, others, gone, began)
            self._beaten.set()
            self._died = {one.incarnation: self._died.get(one.incarnation, began) for one in gone}
            if gone:
                self.on_orphans(self._share(began))
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, began + self._view.until_next_s(self._lease_s) - time.monotonic())):
                    await self._death_told.wait()
            self._death_told.clear()

    def _share(self, now: float) -> int:
        """How many calls of the dead this node has to take. What is not taken in time is whoever's comes first."""
        late = (one.calls for one in self._view.gone if now - self._died[one.incarnation] > SHARED_FOR_S)
        return max(sum(late), self._view.share())

    async def _bury(self, session: AsyncConnection, session_ms: float, me: Node, everybody_: Sequence[Node]) -> None:
        """Declare those dead that are, where this node has been steady for long enough to say so. That a lock is free
        says nothing where our own session is younger than the silence: then the server may have lost them all."""
        lease_ms = 1000 * self._lease_s
        if me.beat_ms - me.steady_ms < lease_ms:
            return
        for one in everybody_:
            silent_ms = me.beat_ms - one.beat_ms
            if one.state == "gone" or one.number == me.number or silent_ms <= MISSED_MS:
                continue
            over = silent_ms > lease_ms or (silent_ms < session_ms and await has_died(session, one, silent_ms))
            if over and await session.run_sync(declare_gone, one):
                self.buried += 1
                log.warning("node %s is dead: it was last heard of %d ms ago", one.name, silent_ms)

    async def _join_again(self) -> None:
        log.critical("node %s has been declared dead, and its calls are others': it joins again", self._joining.name)
        self._joining = replace(self._joining, incarnation=new_incarnation(self._joining.name))
        self.on_lost(self._joining.incarnation)
        async with self._engine.begin() as tx:
            me = await tx.run_sync(join, self._joining)
        self._view = View(me, (), (), time.monotonic())

    async def _set_state(self, state: str) -> None:
        with suppress(Exception):  # who can't be reached finds out by itself
            async with asyncio.timeout(ANSWER_WITHIN_S), self._engine.begin() as tx:
                await tx.run_sync(set_state, self.node, state)


async def has_died(session: AsyncConnection, node: Node, silent_ms: int) -> bool:
    """Whether the process has ended: its session is gone, and so is its listener; or it has been silent for long."""
    if await session.scalar(HOLDS_ITS_LOCK, {"lock": NODE_LOCK, "number": node.number}):
        return False
    return silent_ms > SILENT_MS or await refuses(node.address)


async def refuses(address: str) -> bool:
    """Whether the machine says that nobody listens there. One that says nothing may be cut off."""
    at = urlsplit(address)
    try:
        async with asyncio.timeout(REFUSES_WITHIN_S):
            _, writer = await asyncio.open_connection(at.hostname, at.port)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    return False


async def not_dead(_view: View) -> bool:
    return False


def session_name() -> str:
    """What a process calls its sessions, so that others can end them."""
    return f"voiceplane-{secrets.token_hex(8)}"
