"""Endpoints of points for admins and other back ends: adjustments, refunds, and what users hold."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

from aiohttp import web
from msgspec import UNSET, Meta

from app.clock import now
from app.errors import BadRequest, CallNotFound, InsufficientPoints, WalletNotFound
from app.http.body import body
from app.http.middleware import admin_only
from app.http.responses import json_response
from app.keys import JOURNAL, LEDGER
from app.ledger.daily_points import DAY_MS, DayOfPoints
from app.ledger.errors import KeyReused, LedgerUnavailable
from app.ledger.values import Lot, RefundAsked
from app.openapi.declaration import Parameter, answers
from app.person import Person
from app.rest.admin import user_id_of
from app.rest.audit import entry_of
from app.rest.search import checked
from app.rest.wallet import balance_fields, balance_response
from schemas.base import given
from schemas.types import at_ms, iso, iso_or_none
from schemas.wallet import (
    MAX_DAYS,
    AdjustRequest,
    Balance,
    Day,
    LotLine,
    OutstandingLine,
    OutstandingPoints,
    PointsByDay,
    PointsDay,
    RefundDone,
    RefundRequest,
    WalletDetail,
)

FIRST_DAY = date(1970, 1, 1)
DEFAULT_DAYS = 30
DAYS = (
    Parameter("from", Day, "the first day, in UTC; where none is given, today is the last one"),
    Parameter("days", Annotated[int, Meta(ge=1, le=MAX_DAYS)], f"how many; {DEFAULT_DAYS} where it is not said"),
)

routes = web.RouteTableDef()


@routes.post("/admin/wallets/{user_id}/adjust")
@answers({200: Balance}, InsufficientPoints, KeyReused, LedgerUnavailable)
@body(AdjustRequest)
@admin_only
async def adjust_wallet(request: web.Request, body: AdjustRequest) -> web.Response:
    """Give points to a wallet, or take some away. A wallet that is not there yet is made.

    What is taken away is taken of the kind that is named. The same `idempotencyKey` with the same body never counts
    twice.
    """
    user_id = user_id_of(request, "user_id")
    noted = entry_of(
        request,
        "wallet.adjust",
        person=Person("user", user_id),
        reason=body.reason,
        amount=body.amount,
        kind=body.kind,
        key=body.idempotency_key,
    )
    adjusted = await request.app[JOURNAL].adjust(
        user_id,
        body.amount,
        reason=body.reason,
        idempotency_key=body.idempotency_key,
        kind=body.kind,
        expires_at_ms=None if body.expires_at is UNSET else at_ms(body.expires_at),
        noted=noted,
    )
    return balance_response(adjusted.wallet)


@routes.get("/admin/wallets/{user_id}")
@answers({200: WalletDetail}, BadRequest, WalletNotFound, LedgerUnavailable)
@admin_only
async def get_wallet(request: web.Request) -> web.Response:
    """A wallet with its lots, in the order in which they are spent."""
    user_id = user_id_of(request, "user_id")
    holdings = await request.app[LEDGER].holdings(user_id, at_ms=now().utc_ms)
    if holdings is None:
        raise WalletNotFound(user_id)
    return json_response(WalletDetail(**balance_fields(holdings), lots=tuple(map(lot_line, holdings.lots))))


def lot_line(lot: Lot) -> LotLine:
    return LotLine(
        kind=lot.kind,
        remaining=lot.remaining,
        points=lot.points,
        expires_at=iso_or_none(lot.expires_at_ms),
        created_at=iso_or_none(lot.created_at_ms),
    )


@routes.get("/admin/points/outstanding")
@answers({200: OutstandingPoints}, LedgerUnavailable)
@admin_only
async def get_outstanding(request: web.Request) -> web.Response:
    """What all users together hold, by kind and month of expiry."""
    at = now()
    found = await request.app[LEDGER].outstanding(at_ms=at.utc_ms)
    paid, bonus = (sum(one.points for one in found if one.kind == kind) for kind in ("paid", "bonus"))
    lines = tuple(OutstandingLine(one.kind, one.month, one.points) for one in found)
    return json_response(OutstandingPoints(at.iso, paid, bonus, lines))


@routes.get("/admin/points/daily")
@answers({200: PointsByDay}, BadRequest, LedgerUnavailable, query=DAYS)
@admin_only
async def get_points_by_day(request: web.Request) -> web.Response:
    """What points did day by day, in UTC, until today: what calls cost, what was given back, given, taken away, what
    expired; and what all users together held."""
    at = now()
    today = at.utc_ms // DAY_MS
    count = days_of(request)
    first = first_day_of(request, today - count + 1)
    found = await request.app[LEDGER].points_by_day(first, min(count, today - first + 1))
    return json_response(PointsByDay(at.iso, tuple(map(points_day, found))))


def days_of(request: web.Request) -> int:
    text = request.query.get("days", str(DEFAULT_DAYS))
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= MAX_DAYS):
        raise BadRequest.at("days", f"must be a whole number from 1 to {MAX_DAYS}")
    return int(text)


def first_day_of(request: web.Request, by_default: int) -> int:
    """As the ledger counts days."""
    text = request.query.get("from")
    if text is None:
        return by_default
    try:
        return (date.fromisoformat(checked(Day, "from", text)) - FIRST_DAY).days
    except ValueError as error:
        raise BadRequest.at("from", "must be a day that there is") from error


def points_day(one: DayOfPoints) -> PointsDay:
    return PointsDay(
        day=(FIRST_DAY + timedelta(days=one.day)).isoformat(),
        charged_points=one.charged,
        refunded_points=one.refunded,
        added_points=one.added,
        removed_points=one.removed,
        expired_points=one.expired,
        outstanding_points=one.outstanding,
    )


@routes.post("/admin/calls/{call_id}/refund")
@answers({200: RefundDone}, CallNotFound, KeyReused, LedgerUnavailable)
@body(RefundRequest)
@admin_only
async def refund_call(request: web.Request, body: RefundRequest) -> web.Response:
    """Give back points of a call to the user who paid for it, during the call or after it.

    All refunds of a call together never exceed what it cost. The same `idempotencyKey` with the same body never counts
    twice.
    """
    call_id = request.match_info["call_id"]
    asked = RefundAsked(call_id, given(body.points), given(body.units), body.reason, body.idempotency_key)
    noted = entry_of(
        request,
        "call.refund",
        call_id=call_id,
        reason=body.reason,
        points=asked.points,
        units=asked.units,
        key=asked.key,
    )
    done = await request.app[JOURNAL].refund(asked, noted)
    return json_response(
        RefundDone(
            call_id=call_id,
            user_id=done.wallet.user_id,
            points=done.points,
            refunded_points=done.refunded_points,
            balance=done.wallet.balance,
            refunded_at=iso(done.wallet.updated_at_ms),
        )
    )
