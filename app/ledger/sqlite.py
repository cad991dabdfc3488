"""SQLite: one writing connection with a thread of its own, a few reading ones, and the work of many callers in one
commit.

A commit waits milliseconds for the disk (``synchronous = FULL``), the work itself takes much less. So pieces of work
that come during a commit are committed together, those of one kind in the same few statements; one that fails takes no
other with it. Readers see the last commit, and never wait (WAL).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL

from app.ledger.commit_queue import CommitQueue, Failed, Job, answer_all
from app.ledger.database import Database, is_transient, translated, unavailable
from app.ledger.errors import LedgerUnavailable
from app.ledger.subscriptions import OPTION
from app.private import make_private_file, make_private_folder, take_from_others

T = TypeVar("T")
Item = TypeVar("Item")
Inode = tuple[int, int]  # device and number

READERS = 4  # connections, each with a thread
ATTEMPTS = 50  # at switching a new file to WAL while others do the same

log = logging.getLogger(__name__)


class SqliteDatabase(Database):
    """Made by :meth:`open`."""

    def __init__(self, file: Path, writer: Engine, reader: Engine, timeout_s: float) -> None:
        super().__init__()
        self._file = file
        self._inode: Inode | None = None
        self.writer = writer.execution_options(**{OPTION: self.subscriptions})
        self.reader = reader
        self._timeout_s = timeout_s
        self._writer_thread = ThreadPoolExecutor(1, thread_name_prefix="ledger writer")
        self._reader_threads = ThreadPoolExecutor(READERS, thread_name_prefix="ledger reader")
        self.queue = CommitQueue(self._hand_to_writer, timeout_s)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: URL, timeout_s: float) -> AsyncIterator[SqliteDatabase]:
        file = Path(str(url.database))
        try:
            make_private_folder(file.parent)
        except OSError as error:
            raise unavailable(error) from error
        database = cls(file, engine(url, timeout_s, writes=True), engine(url, timeout_s, writes=False), timeout_s)
        database._inode = inode(file)
        try:
            yield database
        finally:
            await database._close()

    async def check(self) -> None:
        await self.run_read(self._check)

    def _check(self, tx: Connection) -> None:
        tx.exec_driver_sql("PRAGMA schema_version").scalar()  # this is read from the file
        if inode(self._file) != self._inode:
            raise LedgerUnavailable("its file is gone, or is another one: what is stored now would not be found")

    async def commit(self, work: Callable[[Connection], T]) -> T:
        result: T = await self.queue.done(Job(work))
        return result

    async def commit_each(
        self, work: Callable[[Connection, Sequence[Item]], Sequence[T]], item: Item, *, urgent: bool = True
    ) -> T:
        result: T = await self.queue.done(Job(work, item, each=True), urgent=urgent)
        return result

    async def run_read(self, work: Callable[[Connection], T]) -> T:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await loop.run_in_executor(self._reader_threads, self._read_in_thread, work)
        except TimeoutError as error:
            raise unavailable(error) from error

    async def run_look_up(self, work: Callable[[Connection], T]) -> T:
        return await self.run_read(work)

    def _hand_to_writer(self, jobs: list[Job]) -> None:
        for job in jobs:
            job.in_doubt = True  # nothing calls it back from the thread
        self._writer_thread.submit(self._commit_and_answer, jobs, asyncio.get_running_loop())

    def _commit_and_answer(self, jobs: Sequence[Job], loop: asyncio.AbstractEventLoop) -> None:
        """Runs in the writer's thread."""
        outcomes = self._commit_together(jobs)
        with suppress(RuntimeError):  # the event loop was closed while the disk hung: nobody waits any more
            loop.call_soon_threadsafe(self._answer, jobs, outcomes)

    def _answer(self, jobs: Sequence[Job], outcomes: Sequence[Any]) -> None:
        answer_all(jobs, outcomes)
        self.queue.go_on()

    def _commit_together(self, jobs: Sequence[Job], *, apart: bool = False) -> list[Any]:
        """Runs in the writer's thread, and raises nothing. Returns one outcome for each job.

        ``apart`` gives each job a savepoint, which takes as long as the job: only after one has failed.
        """
        began = committing = False
        try:
            with self.writer.connect() as tx, tx.begin():
                began = True
                outcomes = [in_savepoint(tx, job.alone) for job in jobs] if apart else together(tx, jobs)
                committing = True
        except Exception as error:
            if not apart and not is_transient(error):  # one is refused, which is rare: again, each on its own
                return self._commit_together(jobs, apart=True)
            if (
                began and not committing and len(jobs) > 1
            ):  # perhaps only one job is to blame: it needed a page too many, say
                return [outcome for job in jobs for outcome in self._commit_together([job])]
            log.warning("a commit of %d writes failed: %s", len(jobs), unavailable(error))
            return [Failed(unavailable(error, outcome_unknown=committing)) for _ in jobs]
        return outcomes

    def _read_in_thread(self, work: Callable[[Connection], T]) -> T:
        try:
            with self.reader.connect() as tx, tx.begin():
                return work(tx)
        except Exception as error:
            meant = translated(error)
            raise meant from meant.__cause__

    async def _close(self) -> None:
        """Let the work under way finish, but wait no longer than a transaction may take, even where the disk hangs."""
        loop = asyncio.get_running_loop()
        hanging = False
        try:
            async with asyncio.timeout(self._timeout_s):
                await self.queue.idle.wait()
                await loop.run_in_executor(self._writer_thread, self.writer.dispose)
                await loop.run_in_executor(self._reader_threads, self.reader.dispose)
        except TimeoutError:
            hanging = True
            log.error("the ledger is left open, because its disk does not answer")  # noqa: TRY400  # no trace needed
        self._writer_thread.shutdown(wait=not hanging)
        self._reader_threads.shutdown(wait=not hanging)


def together(tx: Connection, jobs: Sequence[Job]) -> list[Any]:
    """The result of each job. Consecutive items of one kind of work are handled together."""
    results: list[Any] = []
    for each, some in groupby(jobs, lambda job: job.work if job.each else None):
        alike = list(some)
        results += each(tx, [job.item for job in alike]) if each else [job.alone(tx) for job in alike]
    return results


def inode(file: Path) -> Inode | None:
    """The inode that the path names now; None where there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def in_savepoint(tx: Connection, work: Callable[[Connection], Any]) -> Any:
    """The result of a job, or what it failed with, undone. Trouble with the database is raised: it voids the
    transaction."""
    savepoint = tx.begin_nested()
    try:
        result = work(tx)
        savepoint.commit()
    except Exception as error:
        if is_transient(error):
            raise
        savepoint.rollback()
        return Failed(translated(error))
    return result


def switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to a write-ahead log, where it has none yet.

    SQLite does not wait for another process's lock when it switches, though it does when a transaction begins.
    """
    for _ in range(ATTEMPTS):
        with suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode = WAL")
            return
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    connection.execute("PRAGMA journal_mode = WAL")


def make_private(file: Path) -> None:
    """Make the database private. SQLite gives the files beside it the same rights when it makes them."""
    with suppress(OSError):  # SQLite will say the same in a moment
        make_private_file(file)
    for beside in ("-wal", "-shm"):
        take_from_others(file.with_name(file.name + beside))


def engine(url: URL, timeout_s: float, *, writes: bool) -> Engine:
    """An engine whose transactions begin as writers (``BEGIN IMMEDIATE``), or can't write at all."""
    made = create_engine(
        url,
        pool_size=1 if writes else READERS,
        max_overflow=0,
        pool_timeout=timeout_s,
        pool_reset_on_return=None,  # every transaction ends where it began
        connect_args={"isolation_level": None, "timeout": timeout_s / 2},  # the wait for another process's lock
    )

    @event.listens_for(made, "do_connect")
    def keep_private(*_: object) -> None:
        if writes:
            make_private(Path(str(url.database)))

    @event.listens_for(made, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        if writes:
            switch_to_wal(connection)
            connection.execute("PRAGMA synchronous = FULL")  # a commit is on the disk before anybody is told of it
        else:
            connection.execute("PRAGMA query_only = ON")

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return made
