"""The node itself, for admins: its workers, its last hour, and draining it."""

from __future__ import annotations

from aiohttp import web

from app.errors import Draining
from app.http.body import body
from app.http.middleware import admin_only
from app.http.responses import json_response
from app.keys import DRAIN, FORWARDING_PROBE, POOL, SAMPLER
from app.openapi.declaration import answers
from app.ops import workers
from schemas.base import given
from schemas.node import Drained, DrainRequest, SampleSeries, Workers

routes = web.RouteTableDef()


@routes.get("/admin/workers")
@answers({200: Workers})
@admin_only
async def get_workers(request: web.Request) -> web.Response:
    """What each worker holds and costs, and how fast it answers."""
    seen = workers.seen(request.app[POOL], request.app[SAMPLER], request.app[FORWARDING_PROBE])
    return json_response(seen)


@routes.get("/admin/series")
@answers({200: SampleSeries})
@admin_only
async def get_series(request: web.Request) -> web.Response:
    """Samples of the last hour, in steps of five seconds."""
    return json_response(request.app[SAMPLER].series.body())


@routes.post("/admin/drain")
@answers({200: Drained}, Draining)
@body(DrainRequest)
@admin_only
async def begin_drain(request: web.Request, body: DrainRequest) -> web.Response:
    """Take no new calls from now on, and let the live ones end. Asked again, the new mode and deadline count.

    `wait` lets every call go on. `end` ends at once the calls that are not talking yet, and the others too where there
    is no deadline. Calls that are left at the deadline are ended (`system_error`); their parties are told of the
    deadline at once (`node_draining`). A node that is stopping answers `DRAINING`.
    """
    request.app[DRAIN].begin(body.mode, given(body.deadline_seconds))
    return drained(request)


@routes.get("/admin/drain")
@answers({200: Drained})
@admin_only
async def get_drain(request: web.Request) -> web.Response:
    """Whether the node drains, until when, and how many calls are left."""
    return drained(request)


@routes.delete("/admin/drain")
@answers({200: Drained}, Draining)
@admin_only
async def end_drain(request: web.Request) -> web.Response:
    """Take calls again. Calls that are ending end all the same. A node that is stopping answers `DRAINING`."""
    request.app[DRAIN].take_back()
    return drained(request)


def drained(request: web.Request) -> web.Response:
    drain = request.app[DRAIN]
    deadline_at = drain.deadline.iso if drain.deadline else None
    return json_response(Drained(drain.active, drain.mode, deadline_at, drain.live_calls))
