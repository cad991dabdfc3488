"""How soon a webhook is on its way, and what it costs to have some, as JSON.

``start_ms`` is from the commit to the request's arrival at a receiver in a process of its own, with so many deliveries
a second to each of two endpoints, of which one hangs. ``writes`` are calls opened and ended in a second, as fast as the
ledger takes them: without endpoints, with two, and with two to which deliveries are under way at the same time.

Runs on new SQLite files in a temporary folder, or on the empty database whose URL is given. Run as
``python -m bench.webhooks [URL]``.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from app.calls.call_events import otomo_status
from app.clock import now
from app.ledger import Ledger
from app.ledger.steps import FIRST_EPOCH, Ending, Opening
from app.ledger.values import NewCall
from app.settings import Settings
from app.webhooks.webhooks import Webhooks
from schemas.call import CallState

A_SECOND = 100
SECONDS = 20
CALLS = 1500  # of a round of writes
AT_ONCE = 40
ROUNDS = 3


async def receive() -> None:
    """The receiver: tells its port, notes when each key came, hangs at ``/hang``."""
    came: dict[str, float] = {}

    async def take(request: web.Request) -> web.Response:
        at, message = time.monotonic(), json.loads(await request.read())
        if request.path == "/hang":
            await asyncio.sleep(3600)
        came.setdefault(message["data"].get("otomoId", ""), at)
        return web.Response(status=204)

    async def told(_: web.Request) -> web.Response:
        return web.json_response(came)

    app = web.Application()
    app.router.add_post("/{tail:.*}", take)
    app.router.add_get("/", told)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.sleep(3600)


@asynccontextmanager
async def receiver() -> AsyncIterator[str]:
    command = (sys.executable, "-m", "bench.webhooks", "--receive")
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(await process.stdout.readline())}"
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def delivering(ledger: Ledger, folder: str) -> AsyncIterator[Webhooks]:
    settings = Settings(data_dir=Path(folder), webhook_allow_private=True)
    async with Webhooks.running(ledger.webhooks, settings, "bench") as webhooks:
        yield webhooks


async def start_ms(ledger: Ledger, base: str, folder: str) -> dict[str, Any]:
    committed: dict[str, float] = {}

    async def happen(webhooks: Webhooks, number: int) -> None:
        key = f"start{number}"
        await ledger.append_events([otomo_status(key, "online", now())], at_ms=number)
        committed[key] = time.monotonic()
        webhooks.deliverer.committed()

    async with delivering(ledger, folder) as webhooks:
        made = [await webhooks.registration.add(f"{base}/{path}", None, "") for path in ("hook", "hang")]
        began, tasks = time.monotonic(), []
        for number in range(A_SECOND * SECONDS):
            await asyncio.sleep(max(0.0, began + number / A_SECOND - time.monotonic()))
            tasks.append(asyncio.create_task(happen(webhooks, number)))
        await asyncio.gather(*tasks)
        async with aiohttp.ClientSession() as http:
            came: dict[str, float] = {}
            while len(came.keys() & committed.keys()) < len(committed):
                await asyncio.sleep(0.1)
                async with http.get(base) as answer:
                    came = await answer.json()
        for one in made:
            await webhooks.registration.remove(one.id)
    late = sorted(1000 * (came[key] - at) for key, at in committed.items())
    return {
        "deliveries": len(late),
        "aSecond": A_SECOND,
        "p50": round(statistics.median(late), 1),
        "p99": round(late[int(len(late) * 0.99)], 1),
        "max": round(late[-1], 1),
    }


async def writes(ledger: Ledger, name: str, webhooks: Webhooks | None) -> float:
    """Calls a second."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        call_id = f"{name}_{number}"
        call = NewCall(call_id, call_id, call_id, 0, number, (CallState.MATCHED,), "bench", exclusive=False)
        async with free:
            await ledger.open_call(Opening(call, (), 0))
            ending = Ending(call_id=call_id, epoch=FIRST_EPOCH, reason="manual", cause="bench", ended_at_ms=number)
            await ledger.end_call(ending)
            if webhooks is not None:
                webhooks.deliverer.committed()

    began = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(CALLS)))
    return CALLS / (time.monotonic() - began)


async def all_writes(ledger: Ledger, base: str, folder: str) -> dict[str, float]:
    rates: dict[str, list[float]] = {"none": [], "two": [], "twoAndDelivering": []}
    for turn in range(ROUNDS):
        rates["none"].append(await writes(ledger, f"none{turn}", None))
        async with delivering(ledger, folder) as webhooks:
            made = [await webhooks.registration.add(f"{base}/{path}", None, "") for path in ("one", "two")]
            rates["twoAndDelivering"].append(await writes(ledger, f"busy{turn}", webhooks))
        rates["two"].append(await writes(ledger, f"two{turn}", None))
        async with delivering(ledger, folder) as webhooks:
            for one in made:
                await webhooks.registration.remove(one.id)
    return {name: round(statistics.median(found), 1) for name, found in rates.items()}


async def main(url: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        url = url or f"sqlite:///{folder}/ledger.sqlite"
        async with Ledger.open(url) as ledger, receiver() as base:
            report = {"database": url.partition(":")[0], "load": round(os.getloadavg()[0], 1)}
            return report | {
                "start_ms": await start_ms(ledger, base, folder),
                "writes": await all_writes(ledger, base, folder),
            }


if __name__ == "__main__":
    if "--receive" in sys.argv:
        with suppress(KeyboardInterrupt):
            asyncio.run(receive())
    else:
        sys.stdout.write(json.dumps(asyncio.run(main(next(iter(sys.argv[1:]), None)))) + "\n")
