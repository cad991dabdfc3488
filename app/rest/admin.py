"""What admins and other back ends do: calls that were matched elsewhere, and ending a call."""

from __future__ import annotations

from aiohttp import web

from app.body import body, created, json_response
from app.calls.call import EndReason
from app.keys import CALLS, claims
from schemas.call import AdminCallRequest, AdminCallRequestSchema, ReasonBody, ReasonBodySchema

routes = web.RouteTableDef()


@routes.post("/admin/calls")
@body(AdminCallRequestSchema)
async def open_call(request: web.Request, body: AdminCallRequest) -> web.Response:
    """A call that starts in ``matched``: the room is open when this answers."""
    claims(request).require_admin()
    call = await request.app[CALLS].open_matched(body.user_id, body.otomo_id, body.call_id, body.price_per_minute)
    return created({"callId": call.id, "state": call.state})


@routes.post("/admin/calls/{call_id}/end")
@body(ReasonBodySchema)
async def end_call(request: web.Request, body: ReasonBody) -> web.Response:
    claims(request).require_admin()
    calls = request.app[CALLS]
    call = calls.call(request.match_info["call_id"])
    await calls.end(call, EndReason.ADMIN, body.reason or "an admin")
    return json_response({"callId": call.id, "state": call.state})
