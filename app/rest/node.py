"""The node itself, for admins: its workers, its last hour."""

from __future__ import annotations

from aiohttp import web

from app.body import json_response
from app.keys import POOL, PROVER, SAMPLER, claims
from app.openapi.declaration import answers
from app.ops import workers
from schemas.base import dump
from schemas.node import SampleSeriesSchema, WorkersSchema

routes = web.RouteTableDef()


@routes.get("/admin/workers")
@answers({200: WorkersSchema})
async def get_workers(request: web.Request) -> web.Response:
    """What each worker holds, costs, and how fast it answers."""
    claims(request).require_admin()
    seen = workers.seen(request.app[POOL], request.app[SAMPLER], request.app[PROVER])
    return json_response(dump(WorkersSchema, seen))


@routes.get("/admin/series")
@answers({200: SampleSeriesSchema})
async def get_series(request: web.Request) -> web.Response:
    """The last hour, in steps of five seconds."""
    claims(request).require_admin()
    return json_response(dump(SampleSeriesSchema, request.app[SAMPLER].series.body()))
