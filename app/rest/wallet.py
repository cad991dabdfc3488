"""Endpoints of points: a user's balance and statement."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from app.clock import now
from app.errors import WalletNotFound
from app.http.responses import json_response
from app.keys import LEDGER, claims
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Holdings, Wallet
from app.openapi.declaration import answers
from app.rest.pages import PAGE, page_query
from schemas.types import iso, iso_or_none
from schemas.wallet import Balance, OwnBalance, Usage, UsageLine

routes = web.RouteTableDef()


@routes.get("/wallet/balance")
@answers({200: OwnBalance}, WalletNotFound, LedgerUnavailable)
async def get_balance(request: web.Request) -> web.Response:
    """The points of the user who asks. A user has a wallet from its first adjustment on; nobody else has one."""
    person = claims(request).person
    holdings = await request.app[LEDGER].holdings(person.id, at_ms=now().utc_ms) if person.role == "user" else None
    if holdings is None:
        raise WalletNotFound(str(person))
    return json_response(OwnBalance(**balance_fields(holdings)))


def balance_fields(holdings: Holdings) -> dict[str, Any]:
    return {
        "user_id": holdings.user_id,
        "balance": holdings.balance,
        "updated_at": iso(holdings.updated_at_ms),
        "paid_points": holdings.balance - holdings.bonus,
        "bonus_points": holdings.bonus,
    }


@routes.get("/wallet/usage")
@answers({200: Usage}, LedgerUnavailable, query=PAGE)
async def get_usage(request: web.Request) -> web.Response:
    """The statement of whoever asks: one line for each call that cost something, newest first. Only users pay for
    calls."""
    query = page_query(request)
    person = claims(request).person
    if person.role != "user":
        return json_response(Usage((), None))
    page = await request.app[LEDGER].usage(person.id, limit=query.limit, cursor=query.cursor)
    lines = tuple(
        UsageLine(
            call_id=line.call_id,
            otomo_id=line.otomo_id,
            connected_at=iso(line.connected_at_ms or line.created_at_ms),
            ended_at=iso_or_none(line.ended_at_ms),
            duration_seconds=line.duration_seconds,
            billed_units=line.billed_units,
            billed_points=line.billed_points,
            refunded_points=line.refunded_points,
        )
        for line in page.items
    )
    return json_response(Usage(lines, page.next_cursor))


def balance_response(wallet: Wallet) -> web.Response:
    return json_response(Balance(wallet.user_id, wallet.balance, iso(wallet.updated_at_ms)))
