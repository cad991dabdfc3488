"""Is the process alive, and can it take calls? For load balancers and supervisors, without a token."""

from __future__ import annotations

from collections.abc import Iterator

from aiohttp import web
from msgspec import UNSET

from app.http.middleware import public
from app.http.responses import json_response
from app.keys import FORWARDING_PROBE, HEALTH, POOL, SAMPLER
from app.openapi.declaration import answers
from app.ops.health import Report
from schemas.health import Alive, Check, Readiness, Ready

routes = web.RouteTableDef()


@routes.get("/health/live")
@public
@answers({200: Alive})
async def live(request: web.Request) -> web.Response:
    """Is the process alive? 200 while its event loop runs; `lagMs` is its worst lag of the last second."""
    return json_response(Alive(round(request.app[SAMPLER].lag.worst_ms, 1)))


@routes.get("/health/ready")
@public
@answers({200: Ready, 503: Ready})
async def ready(request: web.Request) -> web.Response:
    """Can the node take calls?

    200 while the database answers and takes a writer, descriptors are left, at least one worker answers and forwards,
    and the node is not draining; else 503. Where several nodes share the database, it is reported, and its outage takes
    none of them out. Each part has a second to answer.
    """
    report = await request.app[HEALTH].report()
    status = readiness(report)
    stress = round(request.app[SAMPLER].stress.value, 3)
    return json_response(
        Ready(status, stress, tuple(checks(request, report))), status=200 if status == "ready" else 503
    )


def readiness(report: Report) -> Readiness:
    if not report.draining.ok:
        return "draining"
    return "ready" if report.well else "unavailable"


def checks(request: web.Request, report: Report) -> Iterator[Check]:
    for part in (*report.shared, *report.needed, report.draining, report.stress):
        yield Check(part.name, part.ok, part.ms, problem=part.problem or UNSET)
    for slot, worker in zip(request.app[POOL].slots, report.workers, strict=True):
        outcome = request.app[FORWARDING_PROBE].outcome(slot)
        probe = outcome.result() if outcome else UNSET
        yield Check(worker.name, worker.ok, worker.ms, slot.restarts, probe, worker.problem or UNSET)
