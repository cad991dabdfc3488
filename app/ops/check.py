"""A health check of one part of the node: it runs once at a time, and ends within a bound.

All who ask while it runs, and for a moment after it, get the same result: health needs no token, and must cost little
however often it is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.ledger.errors import LedgerError
from app.tasks import Tasks
from worker_bridge.errors import BridgeError

ANSWER_WITHIN_S = 1.0
GIVING_UP_S = 0.2  # for a cancelled check to clean up; it is not waited for any longer
GOOD_FOR_S = 0.2


class CheckFailed(Exception):
    """The part is not well; the text says why."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """``ms`` is how long the check took, ``problem`` what is wrong, None where nothing is."""

    name: str
    ms: float
    problem: str | None = None

    @property
    def ok(self) -> bool:
        return self.problem is None


class Check:
    """``question`` raises what is wrong: CheckFailed, or an error of the ledger or of ``worker_bridge``."""

    def __init__(self, name: str, question: Callable[[], Awaitable[None]], tasks: Tasks) -> None:
        self.name = name
        self._question = question
        self._tasks = tasks
        self._asked: asyncio.Task[CheckResult] | None = None
        self._asked_at = 0.0

    async def answer(self) -> CheckResult:
        """The result, within little more than a second. Raises nothing."""
        if self._asked is None or (self._asked.done() and time.monotonic() > self._asked_at + GOOD_FOR_S):
            self._asked_at = time.monotonic()
            self._asked = self._tasks.start(self._ask(), f"{self.name} is asked")
        done, _ = await asyncio.wait({self._asked}, timeout=ANSWER_WITHIN_S + GIVING_UP_S)
        return self._asked.result() if done else self._result("no answer")

    async def _ask(self) -> CheckResult:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._question()
        except TimeoutError:
            return self._result(f"no answer within {ANSWER_WITHIN_S:.0f} s")
        except (CheckFailed, BridgeError, LedgerError) as error:
            return self._result(str(error))
        return self._result(None)

    def _result(self, problem: str | None) -> CheckResult:
        return CheckResult(self.name, round(1000 * (time.monotonic() - self._asked_at), 1), problem)
