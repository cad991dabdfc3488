"""A room of one's own, in which RTC-02 to RTC-06 show whether a call would have sound."""

from __future__ import annotations

from aiohttp import web

from app.access.ratelimit import RateLimiter
from app.errors import Draining, Forbidden, Overloaded, RoomNotFound, WorkerUnavailable
from app.http.responses import created, json_response
from app.keys import PREFLIGHT_LIMITER, PREFLIGHTS, claims
from app.openapi.declaration import answers
from schemas.transport import Closed, PreflightOpened

PER_SECOND, BURST = 0.2, 5  # of one person: more than anybody needs who looks whether a call would work

routes = web.RouteTableDef()


def limiter(*, limited: bool) -> RateLimiter:
    return RateLimiter(PER_SECOND if limited else 0, burst=BURST)


@routes.post("/rtc/preflights")
@answers({201: PreflightOpened}, Forbidden, WorkerUnavailable, Draining, Overloaded)
async def open_preflight(request: web.Request) -> web.Response:
    """Open a room that is nobody's call, in which the caller consumes their own producer.

    RTC-02 to RTC-06 take its `callId`. It closes by itself after 30 s; a new one takes the place of the one before.
    Nothing of it is stored, charged or told.
    """
    person = claims(request).person
    request.app[PREFLIGHT_LIMITER].admit(person)
    preflight = await request.app[PREFLIGHTS].open(person)
    return created(PreflightOpened(preflight.id, preflight.until.iso))


@routes.delete("/rtc/preflights/{call_id}")
@answers({200: Closed}, RoomNotFound, Forbidden, WorkerUnavailable)
async def close_preflight(request: web.Request) -> web.Response:
    """Close it before its time, with all that is in it."""
    request.app[PREFLIGHTS].end(request.match_info["call_id"], claims(request).person)
    return json_response(Closed())
