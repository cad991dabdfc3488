"""Endpoints for admins and other back ends: opening a call that was matched elsewhere, ending a call, points,
prices."""

from __future__ import annotations

from aiohttp import web

from app.clock import now
from app.errors import (
    BadRequest,
    CallNotFound,
    Draining,
    InsufficientPoints,
    InvalidCallState,
    Overloaded,
    WorkerUnavailable,
)
from app.http.body import body
from app.http.middleware import admin_only
from app.http.responses import created, json_response
from app.keys import CALLS, JOURNAL, LEDGER, RATES, claims
from app.ledger.errors import KeyReused, LedgerUnavailable
from app.ledger.values import Recovered
from app.openapi.declaration import answers
from app.rest.calls import ack
from app.rest.wallet import balance_response
from schemas.admin import RecoveredCall, RecoveryLog
from schemas.base import camel_case, given, load
from schemas.call import AdminCallRequest, CallAck, ReasonBody
from schemas.problem import InvalidBody
from schemas.types import Name, iso
from schemas.wallet import (
    AdjustRequest,
    Balance,
    Rate,
    RateRequest,
)

routes = web.RouteTableDef()


@routes.post("/admin/calls")
@answers({201: CallAck}, InvalidCallState, WorkerUnavailable, Draining, Overloaded, LedgerUnavailable)
@body(AdminCallRequest)
@admin_only
async def open_call(request: web.Request, body: AdminCallRequest) -> web.Response:
    """Open a call that another system has matched: its room is open when this answers.

    Presence, busy parties and the balance are not checked: that is for the other system to do.
    """
    call = await request.app[CALLS].open_matched(
        body.user_id, body.otomo_id, given(body.call_id), given(body.price_per_minute), given(body.metadata)
    )
    return created(ack(call))


@routes.post("/admin/calls/{call_id}/end")
@answers({200: CallAck}, CallNotFound, InvalidCallState, LedgerUnavailable)
@body(ReasonBody)
@admin_only
async def end_any_call(request: web.Request, body: ReasonBody) -> web.Response:
    """End a call at once, in whatever state it is."""
    return json_response(
        ack(await request.app[CALLS].end_by_admin(claims(request), request.match_info["call_id"], given(body.reason)))
    )


@routes.post("/admin/wallets/{user_id}/adjust")
@answers({200: Balance}, InsufficientPoints, KeyReused, LedgerUnavailable)
@body(AdjustRequest)
@admin_only
async def adjust_wallet(request: web.Request, body: AdjustRequest) -> web.Response:
    """Give points to a wallet, or take some away. A wallet that is not there yet is made.

    The same `idempotencyKey` with the same user, amount and reason never counts twice.
    """
    adjusted = await request.app[JOURNAL].adjust(
        user_id_of(request, "user_id"), body.amount, reason=body.reason, idempotency_key=body.idempotency_key
    )
    return balance_response(adjusted.wallet)


@routes.put("/admin/rates/{otomo_id}")
@answers({200: Rate}, LedgerUnavailable)
@body(RateRequest)
@admin_only
async def set_rate(request: web.Request, body: RateRequest) -> web.Response:
    """Set the price of the otomo's calls from now on; calls that exist keep theirs."""
    otomo_id = user_id_of(request, "otomo_id")
    await request.app[RATES].set(otomo_id, body.price_per_minute, at_ms=now().utc_ms)
    return json_response(Rate(otomo_id, body.price_per_minute))


@routes.get("/admin/recovery")
@answers({200: RecoveryLog}, LedgerUnavailable)
@admin_only
async def get_recovery(request: web.Request) -> web.Response:
    """The calls that restarts of the node found open, and how they were ended, newest first."""
    return json_response(RecoveryLog(tuple(map(recovered_call, await request.app[LEDGER].recovery_log()))))


def recovered_call(line: Recovered) -> RecoveredCall:
    return RecoveredCall(
        call_id=line.call_id,
        recovered_at=iso(line.recovered_at_ms),
        state=line.state,
        ended_at=iso(line.ended_at_ms),
        duration_seconds=line.duration_seconds,
        billed_units=line.billed_units,
        billed_points=line.billed_points,
    )


def user_id_of(request: web.Request, name: str) -> str:
    """The user id in the path. Raises BadRequest where it is none."""
    try:
        return load(Name, request.match_info[name])
    except InvalidBody as error:
        raise BadRequest.at(camel_case(name), error.details[0].problem) from error
