"""Endpoints of points: a user's balance and statement."""

from __future__ import annotations

from aiohttp import web

from app.errors import WalletNotFound
from app.http.responses import json_response
from app.keys import LEDGER, claims
from app.ledger.errors import LedgerUnavailable
from app.ledger.values import Wallet
from app.openapi.declaration import answers
from app.rest.pages import PAGE, page_query
from schemas.types import iso, iso_or_none
from schemas.wallet import Balance, Usage, UsageLine

routes = web.RouteTableDef()


@routes.get("/wallet/balance")
@answers({200: Balance}, WalletNotFound, LedgerUnavailable)
async def get_balance(request: web.Request) -> web.Response:
    """The points of the user who asks. A user has a wallet from its first adjustment on; nobody else has one."""
    person = claims(request).person
    wallet = await request.app[LEDGER].balance(person.id) if person.role == "user" else None
    if wallet is None:
        raise WalletNotFound(str(person))
    return balance_response(wallet)


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
        )
        for line in page.items
    )
    return json_response(Usage(lines, page.next_cursor))


def balance_response(wallet: Wallet) -> web.Response:
    return json_response(Balance(wallet.user_id, wallet.balance, iso(wallet.updated_at_ms)))
