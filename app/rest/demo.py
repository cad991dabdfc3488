"""The demo page's endpoint: gives the identity of one party of a pair, and points to spend."""

from __future__ import annotations

import math
import secrets
import time

from aiohttp import web

from app.access.tokens import issue_token
from app.errors import NOT_FOUND, RateLimited
from app.http.body import body
from app.http.middleware import public
from app.http.responses import created
from app.keys import DEMO_LIMITER, JOURNAL, LEDGER, PRESENCE, RATES, SETTINGS
from app.ledger.errors import LedgerUnavailable
from app.openapi.declaration import answers
from app.web.pages import require_demo
from schemas.base import given
from schemas.demo import DemoSession, DemoSessionRequest
from schemas.types import iso

SESSIONS_PER_SECOND = 2.0  # a second, from one address
TOKEN_TTL_S = 3600
POINTS = 1_000  # given once to each pair's user

routes = web.RouteTableDef()


@routes.post("/demo/session")
@public
@body(DemoSessionRequest)
@answers({201: DemoSession}, NOT_FOUND, RateLimited, LedgerUnavailable)
async def open_session(request: web.Request, body: DemoSessionRequest) -> web.Response:
    """A token for one party of a pair of demo users. The same pair and party get the same user again.

    The pair's user gets points once. Where the setting ``DEMO`` has the demo off, this is NOT_FOUND.
    """
    require_demo(request)
    app = request.app
    app[DEMO_LIMITER].admit(request.remote or "")
    pair = given(body.pair) or secrets.token_hex(5)
    user_id, otomo_id = f"demo-user-{pair}", f"demo-otomo-{pair}"
    seq = await app[LEDGER].latest_seq()
    terms = await app[RATES].of(otomo_id)
    wallet = (await app[JOURNAL].adjust(user_id, POINTS, reason="demo", idempotency_key=f"demo-{pair}")).wallet
    session = DemoSession(
        token=issue_token(app[SETTINGS], user_id if body.party == "user" else otomo_id, body.party, TOKEN_TTL_S),
        expires_at=iso(int((time.time() + TOKEN_TTL_S) * 1000)),
        pair=pair,
        user_id=user_id,
        otomo_id=otomo_id,
        otomo_status=app[PRESENCE].status(otomo_id),
        seq=seq,
        price_per_minute=terms.price_per_minute,
        unit_seconds=math.ceil(terms.tariff.unit_seconds),
        balance=wallet.balance,
    )
    return created(session)
