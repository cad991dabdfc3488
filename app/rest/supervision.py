"""Endpoints of supervision, for admins: listening in a call, whispering to one of its parties, speaking to both."""

from __future__ import annotations

from aiohttp import web

from app.errors import (
    CallNotFound,
    InvalidCallState,
    NotEnabled,
    SupervisionLimitExceeded,
    SupervisionNotFound,
    SupervisorSpeaks,
)
from app.http.body import body
from app.http.middleware import admin_only
from app.http.responses import created, json_response
from app.keys import SUPERVISORS, claims
from app.ledger.errors import LedgerUnavailable
from app.ledger.supervisions import Supervision
from app.openapi.declaration import answers
from schemas.base import given
from schemas.supervision import (
    SuperviseRequest,
    SupervisionBody,
    SupervisionChange,
    SupervisionEnded,
    SupervisionList,
)
from schemas.types import iso

OF_A_LIVE_CALL = (NotEnabled, CallNotFound, InvalidCallState, LedgerUnavailable)

routes = web.RouteTableDef()


@routes.post("/admin/calls/{call_id}/supervise")
@answers({201: SupervisionBody}, *OF_A_LIVE_CALL, SupervisorSpeaks, SupervisionLimitExceeded)
@body(SuperviseRequest)
@admin_only
async def supervise(request: web.Request, body: SuperviseRequest) -> web.Response:
    """Listen in a live call, whisper to one of its parties, or speak to both. Then come RTC-02 to RTC-06, with the
    token of the same admin.

    Any number of admins up to 4 may listen, and one may speak. It lasts as long as the call, the token, and a connected
    transport, without which it ends after a minute. The same admin again has the same supervision, in the mode that was
    asked for last.
    """
    made = await request.app[SUPERVISORS].begin(
        claims(request), request.match_info["call_id"], body.mode, given(body.to), body.reason
    )
    return created(supervision_body(made))


@routes.get("/admin/calls/{call_id}/supervise")
@answers({200: SupervisionList}, CallNotFound, LedgerUnavailable)
@admin_only
async def list_supervisions(request: web.Request) -> web.Response:
    """Who supervises a call now, in the order in which they began, and whether anybody may."""
    supervisors = request.app[SUPERVISORS]
    found = await supervisors.of_call(request.match_info["call_id"])
    return json_response(SupervisionList(supervisors.enabled, tuple(map(supervision_body, found))))


@routes.patch("/admin/calls/{call_id}/supervise/{supervision_id}")
@answers({200: SupervisionBody}, *OF_A_LIVE_CALL, SupervisionNotFound, SupervisorSpeaks)
@body(SupervisionChange)
@admin_only
async def change_supervision(request: web.Request, body: SupervisionChange) -> web.Response:
    """Listen, whisper or speak to both from now on, as the admin whose supervision it is. What is sent stays as it is:
    only who hears it changes."""
    call_id, supervision_id = request.match_info["call_id"], request.match_info["supervision_id"]
    changed = await request.app[SUPERVISORS].change(claims(request), call_id, supervision_id, body.mode, given(body.to))
    return json_response(supervision_body(changed))


@routes.delete("/admin/calls/{call_id}/supervise/{supervision_id}")
@answers({200: SupervisionEnded}, *OF_A_LIVE_CALL, SupervisionNotFound)
@admin_only
async def end_supervision(request: web.Request) -> web.Response:
    """End a supervision, one's own or another admin's. All that the admin has in the room closes."""
    call_id, supervision_id = request.match_info["call_id"], request.match_info["supervision_id"]
    await request.app[SUPERVISORS].end(claims(request), call_id, supervision_id)
    return json_response(SupervisionEnded())


def supervision_body(one: Supervision) -> SupervisionBody:
    return SupervisionBody(
        supervision_id=one.id,
        call_id=one.call_id,
        admin_id=one.admin_id,
        mode=one.mode,
        to=one.whispers_to,
        since=iso(one.began_at_ms),
    )
