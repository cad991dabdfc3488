"""A process for the kill test: charges units and tells each one that is stored, until somebody ends it the hard way."""

from __future__ import annotations

import asyncio
import sys

from app.ledger import Ledger
from tests.app.ledger.ledger_samples import charged, credit, talking, unit

CALLS = 6


async def charge(ledger: Ledger, call_id: str) -> None:
    for index in range(1, 1_000_000):
        results = await ledger.charge_units([unit(index, call_id), unit(1, call_id)])
        print(call_id, charged(results[0]).unit.index, flush=True)


async def main(url: str, run: str) -> None:
    async with Ledger.open(url, node=run) as ledger:
        await credit(ledger, 1_000_000_000, key=run)
        calls = [f"{run}-{i}" for i in range(CALLS)]
        for call_id in calls:
            await talking(ledger, call_id)
        await asyncio.gather(*(charge(ledger, call_id) for call_id in calls))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
