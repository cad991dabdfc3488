"""What it costs to be sure, as JSON: milliseconds for one charge, and for one of many at once or one after another.

Runs on a new SQLite file in a temporary folder, or on the empty database whose URL is given. The disk decides most of
it: ``commitMs`` is what the smallest commit takes there. Run as ``python -m bench.ledger [URL]``.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from app.ledger import Ledger
from app.ledger.steps import FIRST_EPOCH, Ending, Moving, Opening, Talked
from app.ledger.values import Charged, NewCall, UnitDue
from schemas.call import CallState

CALLS = 1000
SINGLE = 200  # charges one after another
COMMITS = 100
ROUNDS = 5


def smallest_commit_ms(folder: Path) -> float:
    """The median time of committing one small row with ``synchronous = FULL``."""
    connection = sqlite3.connect(folder / "commit.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE t (n)")
    times = []
    for n in range(COMMITS):
        start = time.perf_counter()
        connection.execute("INSERT INTO t VALUES (?)", (n,))
        times.append(time.perf_counter() - start)
    connection.close()
    return statistics.median(times) * 1000


async def timed_ms(work: Callable[[], Awaitable[object]], pieces: int = 1) -> float:
    """Milliseconds for each piece."""
    start = time.perf_counter()
    await work()
    return (time.perf_counter() - start) * 1000 / pieces


@asynccontextmanager
async def talking_calls(url: str) -> AsyncIterator[tuple[Ledger, list[str], float]]:
    """A ledger with many calls that talk, and the milliseconds that each took to open, all at once."""
    async with Ledger.open(url, timeout_s=60) as ledger:
        names = [f"call-{i}" for i in range(CALLS)]
        for i in range(CALLS):
            await ledger.adjust(f"user-{i}", 10**9, reason="bench", idempotency_key=str(i), at_ms=0)
        opening = [
            ledger.open_call(Opening(NewCall(name, f"user-{i}", f"otomo-{i}", 100, 0, (CallState.MATCHED,)), worker=0))
            for i, name in enumerate(names)
        ]
        open_ms = await timed_ms(lambda: asyncio.gather(*opening), CALLS)
        talking = {"epoch": FIRST_EPOCH, "to": CallState.TALKING, "cause": "rtp", "at_ms": 0}
        await asyncio.gather(*(ledger.move(Moving(call_id=name, **talking)) for name in names))
        yield ledger, names, open_ms


class Bench:
    """The same calls, charged in each way; every way takes the next unit."""

    def __init__(self, ledger: Ledger, names: list[str]) -> None:
        self.ledger = ledger
        self.names = names
        self._index = 0

    def _next_units(self) -> list[UnitDue]:
        self._index += 1
        return [UnitDue(name, FIRST_EPOCH, self._index, 0, 60_000 * self._index) for name in self.names]

    async def sweep(self) -> None:
        results = await self.ledger.charge_units(self._next_units())
        assert all(isinstance(result, Charged) for result in results)

    async def all_at_once(self) -> None:
        await asyncio.gather(*(self.ledger.charge_unit(unit) for unit in self._next_units()))

    async def one_after_another(self) -> list[float]:
        times = []
        for unit in self._next_units()[:SINGLE]:
            start = time.perf_counter()
            await self.ledger.charge_unit(unit)
            times.append((time.perf_counter() - start) * 1000)
        return times

    async def prove_alive(self) -> None:
        await self.ledger.prove_alive({(name, FIRST_EPOCH): Talked(1, 1) for name in self.names})

    async def end_all(self) -> None:
        end = {"epoch": FIRST_EPOCH, "reason": "bench", "cause": "bench", "ended_at_ms": 0}
        await asyncio.gather(*(self.ledger.end_call(Ending(call_id=name, **end)) for name in self.names))


async def measure(url: str) -> dict[str, float]:
    async with talking_calls(url) as (ledger, names, open_ms):
        bench = Bench(ledger, names)
        sweep_ms = statistics.median([await timed_ms(bench.sweep) for _ in range(ROUNDS)])
        at_once_ms = statistics.median([await timed_ms(bench.all_at_once, CALLS) for _ in range(ROUNDS)])
        single = sorted(await bench.one_after_another())
        found = {
            "chargeMs": statistics.median(single),
            "chargeP99Ms": single[round(SINGLE * 0.99) - 1],
            "chargeOneOfManyAtOnceMs": at_once_ms,
            "chargeOneOfASweepMs": sweep_ms / CALLS,
            "sweepOf1000CallsMs": sweep_ms,
            "openOneOfManyAtOnceMs": open_ms,
            "proveAlive1000CallsMs": await timed_ms(bench.prove_alive),
            "endOneOfManyAtOnceMs": await timed_ms(bench.end_all, CALLS),
            "auditMs": await timed_ms(ledger.audit),
        }
        assert await ledger.audit() == ()
        return found


def main() -> None:
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name)
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder.resolve()}/ledger.sqlite"
        found = {"commitMs": smallest_commit_ms(folder), **asyncio.run(measure(url))}
    print(json.dumps({name: round(value, 3) for name, value in found.items()}, indent=2))


if __name__ == "__main__":
    main()
