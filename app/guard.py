"""What stands around every handler, in one function because each costs: who asks, how often, and what went wrong.

The order is the contract's: 401, then 429, then whatever the handler finds. Nothing here reads a body, so that a
refused request costs its header only; aiohttp drains what it can of the rest, or closes the connection.
"""

from __future__ import annotations

import functools
import logging
import math
import secrets
import time
import uuid
from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler

from app.auth import Claims, bearer_token, websocket_token
from app.body import json_response, refuse_announced_size
from app.errors import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    Answer,
    Forbidden,
    PayloadTooLarge,
    UnsupportedMediaType,
    answer_to,
)
from app.keys import AUTHENTICATOR, CLAIMS, HTTP_OBSERVERS, RATE_LIMITER, SETTINGS

PUBLIC_ROUTES = frozenset(
    {"/", "/docs", "/openapi.json", "/asyncapi.json", "/demo", "/admin", "/admin/", "/admin/assets/{name}"}
)
PUBLIC_PREFIXES = ("/health/", "/docs/", "/demo/")
WEBSOCKET_ROUTE = "/ws"
METRICS_ROUTE = "/metrics"

# aiohttp's own refusals, which its router and its static files raise.
_OF_STATUS = {
    400: BAD_REQUEST,
    403: answer_to(Forbidden()),
    404: NOT_FOUND,
    405: METHOD_NOT_ALLOWED,
    413: answer_to(PayloadTooLarge()),
    415: answer_to(UnsupportedMediaType()),
}

SCRAPER = Claims("metrics", "admin", math.inf)  # who reads /metrics by its own token, on that route alone

_log = logging.getLogger(__name__)


def add_guarded(app: web.Application, routes: Iterable[web.AbstractRouteDef]) -> None:
    """Serve these routes and no others, each behind a guard. Once for an application, which has its rate limiter."""
    for route in routes:
        if not isinstance(route, web.RouteDef):
            raise TypeError(f"{route} has no handler to guard")
        guarded = guard(app, route.handler, route.path)
        web.RouteDef(route.method, route.path, guarded, route.kwargs).register(app.router)
    app.router.add_route("*", "/{path:.*}", guard(app, refuse_unknown, ""))


def guard(app: web.Application, handler: Handler, route: str) -> Handler:
    """Lets requests through to a handler, or answers for it; and tells those who observe what came of it.

    The route decides what is asked of a request, not its path as it was written: no spelling of a path can reach
    another one. aiohttp's middlewares do the same with two more calls, and without knowing the route beforehand.
    """
    public, limiter, observers = is_public(route), app[RATE_LIMITER], app.get(HTTP_OBSERVERS, ())

    @functools.wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        response: web.StreamResponse
        try:
            if not public:
                user = request[CLAIMS] = recalled(app, request) or await identify(app, request, route)
                if user.role != "admin":
                    limiter.admit(user.user_id)
            if request.body_exists:  # also where the handler needs none: it may be ignored, but not without end
                refuse_announced_size(request)
            response = await handler(request)
        except Exception as error:
            if request.writer.output_size:  # an answer has begun, and another one would be read as a part of it
                raise
            response = refused_by_aiohttp(error) if isinstance(error, web.HTTPException) else refused(request, error)
        seconds = time.monotonic() - began
        for observe in observers:
            observe(request.method, route, response.status, seconds)
        if isinstance(response, web.HTTPException):
            raise response
        return response

    return guarded


async def refuse_unknown(request: web.Request) -> web.StreamResponse:
    """For paths that no route has. :raises HTTPMethodNotAllowed: where one has it for other methods."""
    ours = request.match_info.route.resource
    methods: set[str] = set()
    for resource in request.app.router.resources():
        if resource is not ours:
            methods |= (await resource.resolve(request))[1]
    raise web.HTTPMethodNotAllowed(request.method, methods) if methods else web.HTTPNotFound


def is_public(route: str) -> bool:
    """Whether a route, by its path in the router's spelling, is for everybody."""
    return route in PUBLIC_ROUTES or route.startswith(PUBLIC_PREFIXES)


def recalled(app: web.Application, request: web.Request) -> Claims | None:
    """The claims of a token that was good before, which it is in every request but a client's first."""
    token = bearer_token(request.headers.get("Authorization"))
    return None if token is None else app[AUTHENTICATOR].recall(token)


async def identify(app: web.Application, request: web.Request, route: str) -> Claims:
    """The claims of the request's token. :raises Unauthorized: where it has no good one."""
    token = bearer_token(request.headers.get("Authorization"))
    if token is None and route == WEBSOCKET_ROUTE:
        token = websocket_token(request.headers.get("Sec-WebSocket-Protocol"))
    if route == METRICS_ROUTE and token is not None and is_metrics_token(app, token):
        return SCRAPER
    return await app[AUTHENTICATOR].authenticate(token)


def is_metrics_token(app: web.Application, token: str) -> bool:
    """Whether it is the one for whoever reads ``/metrics``, and who need not be able to move money."""
    known = app[SETTINGS].metrics_token
    return known is not None and secrets.compare_digest(token.encode("utf-8", "replace"), known.encode())


def refused(request: web.Request, error: Exception) -> web.Response:
    """The table's answer. What it does not know is our mistake: logged whole, under an id that the client is told."""
    answer = answer_to(error)
    if answer is not INTERNAL_ERROR:
        _log.debug("%s %s: %s %r", request.method, request.path, answer.code, error)
        response = as_response(answer)
        if answer.status == 413:
            response.force_close()  # the client need not send the rest
        return response
    request_id = uuid.uuid4().hex
    _log.error("%s %s failed", request.method, request.path, exc_info=error, extra={"request_id": request_id})
    response = as_response(answer)
    response.headers["X-Request-Id"] = request_id
    return response


def refused_by_aiohttp(error: web.HTTPException) -> web.StreamResponse:
    """aiohttp's refusal with our body; redirects and whatever else is no refusal stay as they are."""
    answer = _OF_STATUS.get(error.status)
    if answer is None:
        return error
    response = as_response(answer)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return response


def as_response(answer: Answer) -> web.Response:
    response = json_response(answer.as_json(), status=answer.status)
    response.headers.update(answer.headers)
    return response
