"""Is the process alive, and can it take calls? For load balancers and supervisors; no token is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from aiohttp import web

from app.body import json_response
from app.keys import CALLS, LEDGER, POOL
from app.ledger.errors import LedgerError
from app.openapi.declaration import answers
from schemas.health import LiveSchema, ReadySchema
from worker_bridge.errors import BridgeError, WorkerGone
from worker_bridge.pool import Slot

ANSWER_WITHIN_S = 1.0

routes = web.RouteTableDef()

Check = dict[str, Any]
"""``{name, ok, ms}``, and ``problem`` where it is not ok."""


@routes.get("/health/live")
@answers({200: LiveSchema})
async def live(_: web.Request) -> web.Response:
    """Is the process alive? 200 while its event loop turns."""
    return json_response({"status": "live"})


@routes.get("/health/ready")
@answers({200: ReadySchema, 503: ReadySchema})
async def ready(request: web.Request) -> web.Response:
    """Can the node take calls?

    200 while a worker answers within a second, the database does, and the node is not draining; else 503.
    """
    app = request.app
    workers = [check(f"worker {slot.index}", worker_answer(slot), restarts=slot.restarts) for slot in app[POOL].slots]
    database, *found = await asyncio.gather(check("database", app[LEDGER].ping()), *workers)
    draining = app[CALLS].draining
    is_ready = database["ok"] and any(one["ok"] for one in found) and not draining
    status = "ready" if is_ready else "draining" if draining else "unavailable"
    return json_response({"status": status, "checks": [database, *found]}, status=200 if is_ready else 503)


async def check(name: str, answer: Awaitable[object], **more: object) -> Check:
    """How long the part took to answer, in milliseconds, and what was wrong with it."""
    began = time.monotonic()
    problem = ""
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await answer
    except TimeoutError:
        problem = f"no answer within {ANSWER_WITHIN_S:.0f} s"
    except (BridgeError, LedgerError) as error:
        problem = str(error)
    ms = round((time.monotonic() - began) * 1000, 1)
    found: Check = {"name": name, "ok": not problem, "ms": ms, **more}
    return found | {"problem": problem} if problem else found


async def worker_answer(slot: Slot) -> None:
    """Raises what is wrong with the worker in the slot."""
    if slot.worker is None:
        raise WorkerGone(slot.failure or "it is starting")
    await slot.worker.get_resource_usage()
