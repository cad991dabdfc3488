"""Pieces of work that wait for their commit, each kind in the order of asking. Knows no SQL and no connection.

A commit waits milliseconds for a disk, the work itself takes much less. So one commit is under way at a time, and what
is asked for meanwhile shares the next one. How several pieces are made together, so that one which fails takes no other
with it, is each database's own business.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from app.ledger.database import unavailable

MAX_TOGETHER = 64  # pieces of work in one commit
MAX_COMMIT_DELAY_S = 0.02  # for work that nobody waits for, so that it shares a commit


@dataclass(slots=True)
class Job:
    """A piece of work that waits for its commit: an item that is handled with others, or work on its own.

    ``deadline``, by the loop's clock, is when whoever asked gives up. They are told that the outcome is unknown where
    the job is ``in_doubt`` then: it may be stored all the same. Otherwise it must not be.
    """

    work: Callable[..., Any]
    item: Any = None
    each: bool = False
    done: asyncio.Future[Any] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    deadline: float = 0.0
    started: bool = False
    in_doubt: bool = False
    given_up: bool = False

    def alone(self, tx: Connection) -> Any:
        return self.work(tx, [self.item])[0] if self.each else self.work(tx)


@dataclass(frozen=True, slots=True)
class Failed:
    """The outcome of work that raised."""

    error: Exception


class CommitQueue:
    """``make`` gets some jobs when it is their turn. It has to answer each of them, and to call :meth:`go_on`.

    Jobs whose turn comes together are ``alike`` (of one kind of work) where the database asks for that.
    """

    def __init__(self, make: Callable[[list[Job]], None], timeout_s: float, *, alike: bool = False) -> None:
        self.timeout_s = timeout_s
        self.waiting: list[Job] = []
        self.idle = asyncio.Event()  # no work waits or is under way
        self.idle.set()
        self._make = make
        self._alike = alike

    async def done(self, job: Job, *, urgent: bool = True) -> Any:
        """Wait until the job is made. Raises what it failed with, and LedgerUnavailable after ``timeout_s``.

        Without ``urgent`` it may be delayed a moment, to share another's commit.
        """
        loop = asyncio.get_running_loop()
        job.deadline = loop.time() + self.timeout_s
        self.waiting.append(job)
        if urgent:
            self._start()
        else:
            loop.call_later(MAX_COMMIT_DELAY_S, self._start)
        patience = loop.call_at(job.deadline, give_up, job)
        try:
            return await job.done
        finally:
            patience.cancel()
            if not job.started:
                self.waiting.remove(job)

    def go_on(self) -> None:
        """Make what waits now, if anything does."""
        if not self.waiting:
            self.idle.set()
            return
        jobs = self._next()
        for job in jobs:
            job.started = True
        self.waiting = [job for job in self.waiting if not job.started]
        self._make(jobs)

    def _start(self) -> None:
        """Begin at the end of this turn of the event loop; later work waits for the next commit."""
        if self.waiting and self.idle.is_set():
            self.idle.clear()
            asyncio.get_running_loop().call_soon(self.go_on)

    def _next(self) -> list[Job]:
        first = self.waiting[0]
        fit = (job for job in self.waiting if job.work == first.work) if self._alike else self.waiting
        return list(islice(fit, MAX_TOGETHER))


def give_up(job: Job) -> None:
    job.given_up = not job.done.done()
    answer(job, Failed(unavailable(TimeoutError(), outcome_unknown=job.in_doubt)))


def answer_all(jobs: Sequence[Job], outcomes: Sequence[Any]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        answer(job, outcome)


def answer(job: Job, outcome: Any) -> None:
    if job.done.done():  # the caller has given up, and knows what that means
        return
    if isinstance(outcome, Failed):
        job.done.set_exception(outcome.error)
    else:
        job.done.set_result(outcome)
