"""For admins: the workers and the last hour of all nodes, and draining the node that is asked."""

from __future__ import annotations

from typing import TypeVar

from aiohttp import web

from app.cluster.peers import Answers, Question, ask_each
from app.errors import Draining
from app.http.body import body
from app.http.middleware import admin_only
from app.http.responses import json_response
from app.keys import CLUSTER, DRAIN, FORWARDING_PROBE, LEDGER, MEMBERSHIP, PEER, POOL, SAMPLER, claims
from app.openapi.declaration import answers
from app.ops import workers
from app.rest.audit import note
from schemas.base import given
from schemas.node import Drained, DrainRequest, NodeSamples, SampleSeries, Workers

T = TypeVar("T")

routes = web.RouteTableDef()


@routes.get("/admin/workers")
@answers({200: Workers})
@admin_only
async def get_workers(request: web.Request) -> web.Response:
    """What each worker of each node holds and costs, and how fast it answers."""
    app = request.app
    seen = workers.seen(app[LEDGER].node, app[POOL], app[SAMPLER], app[FORWARDING_PROBE])
    others = await asked_of_others(request, Workers)
    lines = (*seen.workers, *(line for _, theirs in others.given for line in theirs.workers))
    return json_response(Workers(seen.stress, lines, others.missing))


@routes.get("/admin/series")
@answers({200: SampleSeries})
@admin_only
async def get_series(request: web.Request) -> web.Response:
    """Samples of the last hour of each node, in steps of five seconds."""
    here = request.app[SAMPLER].series.body(request.app[LEDGER].node)
    others = await asked_of_others(request, SampleSeries)
    theirs = tuple(NodeSamples(one.node, one.samples) for _, one in others.given)
    return json_response(SampleSeries(here.step_seconds, here.node, here.samples, theirs, others.missing))


async def asked_of_others(request: web.Request, kind: type[T]) -> Answers[T]:
    """What the other nodes answer to the same request. One that a peer has sent is about this node alone."""
    app = request.app
    if MEMBERSHIP not in app or PEER in request:
        return Answers((), ())
    questions = [Question(node, request.method, request.path) for node in app[MEMBERSHIP].view.others]
    return await ask_each(app[CLUSTER], claims(request).person, kind, questions)


@routes.post("/admin/drain")
@answers({200: Drained}, Draining)
@body(DrainRequest)
@admin_only
async def begin_drain(request: web.Request, body: DrainRequest) -> web.Response:
    """Take no new calls on this node from now on, and let the live ones end. Asked again, the new mode and deadline
    count.

    `wait` lets every call go on. `end` ends at once the calls that are not talking yet, and the others too where there
    is no deadline. Calls that are left at the deadline are ended (`system_error`); their parties are told of the
    deadline at once (`node_draining`). A node that is stopping answers `DRAINING`.
    """
    deadline_s = given(body.deadline_seconds)
    await note(request, "node.drain", subject=request.app[LEDGER].node, mode=body.mode, deadline_seconds=deadline_s)
    request.app[DRAIN].begin(body.mode, deadline_s)
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
    await note(request, "node.undrain", subject=request.app[LEDGER].node)
    request.app[DRAIN].take_back()
    return drained(request)


def drained(request: web.Request) -> web.Response:
    drain = request.app[DRAIN]
    deadline_at = drain.deadline.iso if drain.deadline else None
    return json_response(Drained(drain.active, drain.mode, deadline_at, drain.live_calls))
