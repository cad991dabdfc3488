"""What admins and other back ends do: calls matched elsewhere, ending a call, points, prices."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web
from marshmallow import ValidationError

from app.body import body
from app.calls.clock import now
from app.errors import (
    BadRequest,
    CallNotFound,
    Draining,
    InsufficientPoints,
    InvalidCallState,
    Overloaded,
    WorkerUnavailable,
)
from app.guard import admin_only
from app.keys import CALLS, JOURNAL, LEDGER, RATES, claims
from app.ledger.errors import KeyReused, LedgerUnavailable
from app.ledger.news import iso
from app.ledger.values import Recovered
from app.openapi.declaration import answers
from app.responses import created, json_response
from app.rest.calls import ack
from app.rest.wallet import balance_response
from schemas.admin import RecoveryLogSchema
from schemas.base import camel_case, dump
from schemas.call import AdminCallRequest, AdminCallRequestSchema, CallAckSchema, ReasonBody, ReasonBodySchema
from schemas.fields import Name
from schemas.wallet import (
    AdjustRequest,
    AdjustRequestSchema,
    BalanceSchema,
    Rate,
    RateRequest,
    RateRequestSchema,
    RateSchema,
)

USER_ID = Name()

routes = web.RouteTableDef()


@routes.post("/admin/calls")
@answers({201: CallAckSchema}, InvalidCallState, WorkerUnavailable, Draining, Overloaded, LedgerUnavailable)
@body(AdminCallRequestSchema)
@admin_only
async def open_call(request: web.Request, body: AdminCallRequest) -> web.Response:
    """A call that another system has matched: its room is open when this answers.

    Presence, busy parties and the balance are not looked at; that system has.
    """
    call = await request.app[CALLS].open_matched(body.user_id, body.otomo_id, body.call_id, body.price_per_minute)
    return created(ack(call))


@routes.post("/admin/calls/{call_id}/end")
@answers({200: CallAckSchema}, CallNotFound, InvalidCallState, LedgerUnavailable)
@body(ReasonBodySchema)
@admin_only
async def end_any_call(request: web.Request, body: ReasonBody) -> web.Response:
    """End a call at once, in whatever state it is."""
    return json_response(
        ack(await request.app[CALLS].end_by_admin(claims(request), request.match_info["call_id"], body.reason))
    )


@routes.post("/admin/wallets/{user_id}/adjust")
@answers({200: BalanceSchema}, InsufficientPoints, KeyReused, LedgerUnavailable)
@body(AdjustRequestSchema)
@admin_only
async def adjust_wallet(request: web.Request, body: AdjustRequest) -> web.Response:
    """Give points to a wallet, or take some; makes the wallet where there is none.

    The same `idempotencyKey` with the same user, amount and reason never counts twice.
    """
    adjusted = await request.app[JOURNAL].adjust(
        user_id_of(request, "user_id"), body.amount, reason=body.reason, idempotency_key=body.idempotency_key
    )
    return balance_response(adjusted.wallet)


@routes.put("/admin/rates/{otomo_id}")
@answers({200: RateSchema}, LedgerUnavailable)
@body(RateRequestSchema)
@admin_only
async def set_rate(request: web.Request, body: RateRequest) -> web.Response:
    """The price of the otomo's calls from now on."""
    otomo_id = user_id_of(request, "otomo_id")
    await request.app[RATES].set(otomo_id, body.price_per_minute, at_ms=now().utc_ms)
    return json_response(dump(RateSchema, Rate(otomo_id, body.price_per_minute)))


@routes.get("/admin/recovery")
@answers({200: RecoveryLogSchema}, LedgerUnavailable)
@admin_only
async def get_recovery(request: web.Request) -> web.Response:
    """What restarts did to the calls that they found open, newest first."""
    return json_response({"recovered": [recovered_body(line) for line in await request.app[LEDGER].recovery_log()]})


def recovered_body(line: Recovered) -> dict[str, object]:
    return {
        camel_case(name.removesuffix("_ms")): iso(value) if name.endswith("_ms") else value
        for name, value in asdict(line).items()
        if name != "node"
    }


def user_id_of(request: web.Request, name: str) -> str:
    """The user id in the path, by the rules of one in a body."""
    try:
        return USER_ID.accept(request.match_info[name])
    except ValidationError as error:
        raise BadRequest.at(camel_case(name), str(error.messages[0])) from error
