"""PostgreSQL: a pool of connections, and one writer that makes what draws event numbers, many changes in one commit.

The row from which event numbers are drawn lets one transaction of the whole cluster commit at a time, and so does the
doorbell (NOTIFY). So what waits for that is made together: one transaction of each node stands in that line, not one of
each change. It draws once, at its end. All other work has a transaction of its own, and takes the row locks that it
needs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg  # type: ignore[import-untyped]  # it has no types of its own
from sqlalchemy import Connection
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.ledger.commit_queue import CommitQueue, Failed, Job, answer, answer_all
from app.ledger.database import Database, is_transient, translated, unavailable
from app.ledger.errors import LedgerUnavailable
from app.ledger.subscriptions import OPTION

T = TypeVar("T")
Item = TypeVar("Item")

CONNECTIONS = 10
SESSION = "voiceplane"
KEEPALIVES = {"tcp_keepalives_idle": "3", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
"""With these the server notices within 10 s that our machine is gone, and releases the locks of its sessions."""
IDLE_IN_TRANSACTION_S = 1.0
"""A node that stops in the middle of a transaction is cut off after this: the one that draws event numbers holds up all
other writers until its commit. Between two statements our event loop never takes so long; if it did, the transaction
would be rolled back and done again."""
ATTEMPTS = 3  # at a transaction that certainly left nothing behind
NOT_CONNECTED = (asyncpg.PostgresError, asyncpg.InterfaceError)  # a failing connect raises these unwrapped
ROLLED_BACK = frozenset({"40001", "40P01"})  # SQLSTATEs: serialization failure, deadlock
LOCK_TIMEOUT = "55P03"
HELD_UP_S = 0.5
"""A row that somebody else holds for longer holds up the changes which are made together with its own, and no others:
then each is made on its own, while the writer goes on. The row of the event numbers is waited for as long as it takes,
since everybody needs it (``events.append``)."""

log = logging.getLogger(__name__)


class PostgresDatabase(Database):
    """Made by :meth:`open`."""

    def __init__(self, engine: AsyncEngine, timeout_s: float) -> None:
        super().__init__()
        self.engine = engine.execution_options(**{OPTION: self.subscriptions})
        self.queue = CommitQueue(self._start_turn, timeout_s, alike=True)
        self._timeout_s = timeout_s
        self._turns: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: URL, timeout_s: float, session: str = SESSION) -> AsyncIterator[PostgresDatabase]:
        """``session`` is the ``application_name`` of its sessions."""
        database = cls(engine(url, timeout_s, session), timeout_s)
        try:
            yield database
        finally:
            await database._close()

    async def check(self) -> None:
        if await self.run_look_up(lambda tx: tx.exec_driver_sql("SELECT pg_is_in_recovery()").scalar()):
            raise LedgerUnavailable("the database is a standby that takes no writes")

    async def commit(self, work: Callable[[Connection], T]) -> T:
        return await self._write(work)

    async def commit_each(
        self, work: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item, *, urgent: bool = True
    ) -> T:
        result: T = await self.queue.done(Job(work, item, each=True), urgent=urgent)
        return result

    async def run_read(self, work: Callable[[Connection], T]) -> T:
        return await self._transact(work, reads=True, isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def run_look_up(self, work: Callable[[Connection], T]) -> T:
        return await self._transact(work, reads=True, isolation_level="AUTOCOMMIT")  # one round trip, and not three

    def _start_turn(self, jobs: list[Job]) -> None:
        turn = asyncio.create_task(self._take_turn(jobs), name="ledger writer")
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)

    async def _take_turn(self, jobs: list[Job]) -> None:
        held_up = await self._make_together(jobs)
        self.queue.go_on()
        await asyncio.gather(*(self._make_alone(job) for job in held_up))

    async def _make_together(self, jobs: Sequence[Job]) -> Sequence[Job]:
        """Make jobs of one kind in one transaction; where one fails, each half of them in its own. Answers all but
        those that it returns: somebody holds a row which one of them needs.
        """

        def work(tx: Connection) -> Sequence[Any]:
            tx.exec_driver_sql(f"SET LOCAL lock_timeout = {in_ms(HELD_UP_S)}")
            return jobs[0].work(tx, [job.item for job in jobs])  # type: ignore[no-any-return]

        try:
            answer_all(jobs, await self._write(work, jobs))
        except Exception as error:
            cause = error.__cause__ if isinstance(error, LedgerUnavailable) else error
            if sqlstate_of(cause) == LOCK_TIMEOUT:
                return jobs
            if isinstance(cause, TimeoutError) and not jobs[0].in_doubt:  # one was given up, and nothing is stored
                others = [job for job in jobs if not is_over(job)]
                fail([job for job in jobs if is_over(job)], error)
                return await self._make_together(others) if 0 < len(others) < len(jobs) else fail(others, error)
            if len(jobs) > 1 and one_is_to_blame(error):
                middle = len(jobs) // 2
                return [*await self._make_together(jobs[:middle]), *await self._make_together(jobs[middle:])]
            fail(jobs, error)
        return ()

    async def _make_alone(self, job: Job) -> None:
        try:
            answer(job, await self._write(job.alone, [job]))
        except Exception as error:
            fail([job], error)

    async def _write(self, work: Callable[[Connection], T], jobs: Sequence[Job] = ()) -> T:
        # Rows that must not change are locked.
        return await self._transact(work, jobs, isolation_level="READ COMMITTED")

    async def _transact(
        self, work: Callable[[Connection], T], jobs: Sequence[Job] = (), *, reads: bool = False, **options: Any
    ) -> T:
        """Run ``work`` in a transaction, on behalf of ``jobs`` if any, which is not committed where one of them was
        given up. One that only reads is tried again whatever it failed with."""
        deadline = min((job.deadline for job in jobs), default=asyncio.get_running_loop().time() + self._timeout_s)
        for attempt in range(1, ATTEMPTS + 1):
            committing = False
            try:
                async with asyncio.timeout_at(deadline) as limit, self.engine.connect() as tx:
                    await tx.execution_options(**options)
                    transaction = await tx.begin()
                    result = await tx.run_sync(work)
                    committing = begin_commit(jobs) and not reads
                    limit.reschedule(max((job.deadline for job in jobs), default=deadline))
                    await transaction.commit()
                    return result
            except Exception as error:
                if not (is_transient(error) or isinstance(error, NOT_CONNECTED)):
                    meant = translated(error)
                    raise meant from meant.__cause__
                if committing or attempt == ATTEMPTS or not (reads or left_nothing_behind(error)):
                    raise unavailable(error, outcome_unknown=committing) from error
                log.info("a transaction is tried again: %s", error)
        raise AssertionError("the last attempt returns or raises")

    async def _close(self) -> None:
        """Let the work under way finish, and close the connections in order; those of a server that does not answer
        are cut."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self.queue.idle.wait()
                await asyncio.gather(*self._turns)
                await self.engine.dispose()
        except TimeoutError:
            log.warning("PostgreSQL does not answer: its connections are cut")
            for turn in self._turns:
                turn.cancel()


def begin_commit(jobs: Sequence[Job]) -> bool:
    """From now on whoever gives up can't know whether a job is stored. Returns True, or raises TimeoutError where
    somebody has given up already, and knows that it is not."""
    if any(job.given_up for job in jobs):
        raise TimeoutError
    for job in jobs:
        job.in_doubt = True
    return True


def is_over(job: Job) -> bool:
    return job.done.done() or job.deadline <= asyncio.get_running_loop().time()


def fail(jobs: Sequence[Job], error: Exception) -> tuple[()]:
    """Tell each that it failed, by an exception of its own."""
    for job in jobs:
        if isinstance(error, LedgerUnavailable) and error.__cause__ is not None:
            answer(job, Failed(unavailable(error.__cause__, outcome_unknown=error.outcome_unknown)))
        else:
            answer(job, Failed(error))
    return ()


def one_is_to_blame(error: Exception) -> bool:
    """Whether perhaps one of several jobs is why all of them failed, and not the connection or the commit."""
    if not isinstance(error, LedgerUnavailable):
        return True
    cause = error.__cause__
    return isinstance(cause, DBAPIError) and not cause.connection_invalidated and not error.outcome_unknown


def sqlstate_of(error: BaseException | None) -> str | None:
    return getattr(error.orig, "sqlstate", None) if isinstance(error, DBAPIError) else None


def left_nothing_behind(error: Exception) -> bool:
    """Whether a failed transaction certainly left nothing behind, and is worth a second try at once: the victim of a
    deadlock, or one whose connection from the pool was dead already.
    """
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or sqlstate_of(error) in ROLLED_BACK


def engine(url: URL, timeout_s: float, session: str = SESSION) -> AsyncEngine:
    """An engine whose sessions the server ends by itself, should this process stop in the middle of a transaction."""
    return create_async_engine(
        url,
        pool_size=CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout_s,
        connect_args={
            "timeout": timeout_s,
            "server_settings": {
                "application_name": session,
                **KEEPALIVES,
                "lock_timeout": in_ms(timeout_s),
                "idle_in_transaction_session_timeout": in_ms(IDLE_IN_TRANSACTION_S),
            },
        },
    )


def in_ms(seconds: float) -> str:
    return str(round(seconds * 1000))
