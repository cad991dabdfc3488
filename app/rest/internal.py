"""What nodes of a cluster ask of one another. No client gets here: only by the mark of a peer."""

from __future__ import annotations

from aiohttp import web

from app.clock import now, shifted
from app.cluster.mover import OLD_ROOM_FOR_S
from app.errors import CallNotFound, Draining
from app.http.body import body
from app.http.middleware import public
from app.http.responses import json_response
from app.keys import CONTINUITY, DRAIN, LEDGER, MEMBERSHIP, PEER, PRESENCE, REGISTRY
from app.ledger.steps import Talked
from app.ops.inspection import seen_call
from schemas.cluster import CallTaken, LookAtCalls, SeenCalls, TakeCall

routes = web.RouteTableDef()


@routes.post("/internal/calls/{call_id}/take")
@public
@body(TakeCall)
async def take_call(request: web.Request, body: TakeCall) -> web.Response:
    """Take over a call whose owner is drained. Its parties are told where its media is from now on."""
    if PEER not in request:
        raise CallNotFound(request.match_info["call_id"])
    if request.app[DRAIN].active:
        raise Draining
    talked = Talked(body.talked_ms, body.proven_at_ms)
    adopted = await request.app[LEDGER].take_call(request.match_info["call_id"], body.owner, body.epoch, talked)
    present = now()
    call = request.app[CONTINUITY].adopt(adopted, shifted(present, present.monotonic + OLD_ROOM_FOR_S))
    request.app[PRESENCE].call_stored(call)
    return json_response(CallTaken())


@routes.get("/internal/nodes/{incarnation}")
@public
async def see_node(request: web.Request) -> web.Response:
    """Whether a node that can't see the database is alive for this one, which does: 410 where it is not."""
    if PEER not in request:
        raise CallNotFound
    membership = request.app[MEMBERSHIP]
    membership.check()
    seen = any(one.incarnation == request.match_info["incarnation"] for one in membership.view.others)
    return web.Response(status=204 if seen else 410)


@routes.post("/internal/calls/look")
@public
@body(LookAtCalls)
async def look_at_calls(request: web.Request, body: LookAtCalls) -> web.Response:
    """What of calls is not stored: of those that live here."""
    if PEER not in request:
        raise web.HTTPForbidden
    found = map(request.app[REGISTRY].find, body.call_ids)
    return json_response(SeenCalls(tuple(seen_call(call) for call in found if call is not None)))
