"""Is the process alive, and can it take calls? For load balancers and supervisors; no token is asked."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiohttp import web

from app.body import json_response
from app.keys import POOL
from worker_bridge.errors import BridgeError
from worker_bridge.pool import Slot

ANSWER_WITHIN_S = 1.0

routes = web.RouteTableDef()

Check = dict[str, Any]
"""``{name, ok, ms}``, and ``problem`` where it is not ok."""


@routes.get("/health/live")
async def live(_: web.Request) -> web.Response:
    """200 while the event loop turns."""
    return json_response({"status": "live"})


@routes.get("/health/ready")
async def ready(request: web.Request) -> web.Response:
    """200 while at least one worker answers within a second; else 503. Both say what was found."""
    checks = await asyncio.gather(*(check_worker(slot) for slot in request.app[POOL].slots))
    is_ready = any(check["ok"] for check in checks)
    body = {"status": "ready" if is_ready else "unavailable", "checks": checks}
    return json_response(body, status=200 if is_ready else 503)


async def check_worker(slot: Slot) -> Check:
    began = time.monotonic()
    problem = slot.failure or "it is starting"
    if slot.worker is not None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await slot.worker.get_resource_usage()
            problem = ""
        except TimeoutError:
            problem = f"no answer within {ANSWER_WITHIN_S:.0f} s"
        except BridgeError as error:
            problem = str(error)
    check: Check = {
        "name": f"worker {slot.index}",
        "ok": not problem,
        "ms": round((time.monotonic() - began) * 1000, 1),
        "restarts": slot.restarts,
    }
    if problem:
        check["problem"] = problem
    return check
