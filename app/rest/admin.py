"""Endpoints for admins and other back ends: opening a call that was matched elsewhere, ending a call, points,
prices."""

from __future__ import annotations

from contextlib import AsyncExitStack

from aiohttp import web
from msgspec import UNSET

from app.calls.service import new_call_id
from app.clock import now
from app.errors import (
    BadRequest,
    CallNotFound,
    Draining,
    InvalidCallState,
    NotEnabled,
    Overloaded,
    RecordingLimitExceeded,
    WorkerUnavailable,
)
from app.http.body import body
from app.http.middleware import admin_only
from app.http.responses import created, json_response
from app.keys import CALLS, LEDGER, RATES, RECORDING, REGISTRY, claims
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Rate, Recovered
from app.openapi.declaration import answers
from app.rest.audit import note
from app.rest.calls import ack
from schemas.admin import RecoveredCall, RecoveryLog
from schemas.base import camel_case, given, load
from schemas.call import AdminCallRequest, CallAck, Extended, ExtendRequest, ReasonBody
from schemas.problem import InvalidBody
from schemas.types import Name, iso
from schemas.wallet import Rate as RateAnswer
from schemas.wallet import RateRequest

RECORD = "opened with record"  # the reason of a recording that was asked for together with its call

routes = web.RouteTableDef()


@routes.post("/admin/calls")
@answers(
    {201: CallAck},
    InvalidCallState,
    NotEnabled,
    RecordingLimitExceeded,
    WorkerUnavailable,
    Draining,
    Overloaded,
    LedgerUnavailable,
)
@body(AdminCallRequest)
@admin_only
async def open_call(request: web.Request, body: AdminCallRequest) -> web.Response:
    """Open a call that another system has matched: its room is open when this answers.

    Presence, busy parties and the balance are not checked: that is for the other system to do.
    """
    call_id = given(body.call_id) or new_call_id()
    async with AsyncExitStack() as stack:
        if body.record:
            recordings, by = request.app[RECORDING].recordings, claims(request).user_id
            await note(request, "recording.start", call_id=call_id, reason=RECORD)
            await stack.enter_async_context(recordings.opening(call_id, by, RECORD))
        call = await request.app[CALLS].open_matched(
            body.user_id, body.otomo_id, call_id, rate_in(body), given(body.metadata)
        )
    return created(ack(call))


@routes.post("/admin/calls/{call_id}/end")
@answers({200: CallAck}, CallNotFound, InvalidCallState, LedgerUnavailable)
@body(ReasonBody)
@admin_only
async def end_any_call(request: web.Request, body: ReasonBody) -> web.Response:
    """End a call at once, in whatever state it is."""
    call_id, reason = request.match_info["call_id"], given(body.reason)
    if call_id in request.app[REGISTRY]:  # else it is another node's to end, or nobody's
        await note(request, "call.end", call_id=call_id, reason=reason)
    return json_response(ack(await request.app[CALLS].end_by_admin(claims(request), call_id, reason)))


@routes.post("/admin/calls/{call_id}/extend")
@answers({200: Extended}, CallNotFound, InvalidCallState, LedgerUnavailable)
@body(ExtendRequest)
@admin_only
async def extend_call(request: web.Request, body: ExtendRequest) -> web.Response:
    """Let a live call last longer by so many seconds of talk. Each request counts."""
    call_id = request.match_info["call_id"]
    if call_id in request.app[REGISTRY]:
        await note(request, "call.extend", call_id=call_id, seconds=body.seconds)
    call = await request.app[CALLS].extend(call_id, body.seconds)
    return json_response(Extended(call.id, round(call.longest_s)))


@routes.put("/admin/rates/{otomo_id}")
@answers({200: RateAnswer}, LedgerUnavailable)
@body(RateRequest)
@admin_only
async def set_rate(request: web.Request, body: RateRequest) -> web.Response:
    """Set the price of the otomo's calls, or their tariff, from now on; calls that exist keep theirs."""
    otomo_id, rate = user_id_of(request, "otomo_id"), rate_in(body)
    if rate is None:
        raise AssertionError("RateRequest has neither")
    await note(request, "rate.set", subject=otomo_id, price_per_minute=rate.price_per_minute)
    await request.app[RATES].set(otomo_id, rate, at_ms=now().utc_ms)
    return json_response(RateAnswer(otomo_id, rate.price_per_minute, rate.tariff))


def rate_in(body: AdminCallRequest | RateRequest) -> Rate | None:
    """The price or the tariff in a body; None where there is neither."""
    if body.tariff is not UNSET:
        return Rate(body.tariff.price_per_minute, body.tariff)
    return None if body.price_per_minute is UNSET else Rate(body.price_per_minute)


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
