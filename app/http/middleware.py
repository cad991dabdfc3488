"""What stands around every handler: who asks, how often, what went wrong, and what came of it for those who count.

The order is the contract's: 401, then 429, then whatever the handler finds. Nothing here reads a body, so that a
refused request costs its header only; aiohttp drains what it can of the rest, or closes the connection.

A handler says itself whom it is for: everybody (:func:`public`), admins alone (:func:`admin_only`), else whoever has a
good token. The matched route decides, not the path as it was written: no spelling of a path can reach another one.
"""

from __future__ import annotations

import functools
import logging
import math
import secrets
import time
import uuid
from typing import Any, TypeVar

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from app.access.tokens import Claims, bearer_token, offered_token
from app.errors import INTERNAL_ERROR, answer_to
from app.http.body import refuse_announced_size
from app.http.responses import as_response, refused_by_aiohttp
from app.keys import AUTHENTICATOR, CLAIMS, HTTP_OBSERVERS, RATE_LIMITER, SETTINGS, claims

WEBSOCKET_ROUTE = "/ws"
METRICS_ROUTE = "/metrics"

SCRAPER = Claims("metrics", "admin", math.inf)  # who reads /metrics by its own token, on that route alone

Marked = TypeVar("Marked", bound=Handler)

_log = logging.getLogger(__name__)


def public(handler: Marked) -> Marked:
    """Mark a handler as one for everybody: no token is asked for, and no rate is kept."""
    handler.__dict__["is_public"] = True
    return handler


def admin_only(handler: Any) -> Any:
    """Refuse a handler to all but admins: FORBIDDEN, which comes after what is wrong with the body."""

    @functools.wraps(handler)
    async def for_admins(request: web.Request, *rest: Any) -> web.StreamResponse:
        claims(request).require_admin()
        response: web.StreamResponse = await handler(request, *rest)
        return response

    for_admins.__dict__["is_admin_only"] = True
    return for_admins


def is_public(handler: object) -> bool:
    return getattr(handler, "is_public", False)


def is_admin_only(handler: object) -> bool:
    return getattr(handler, "is_admin_only", False)


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request through to its handler, or answer for it; and tell those who observe what came of it."""
    began = time.monotonic()
    app, match = request.app, request.match_info
    resource = match.route.resource
    route = "" if resource is None else resource.canonical  # as the router spells it
    response: web.StreamResponse
    try:
        if match.http_exception is not None:
            await refuse_what_names_no_resource(request)
        if not is_public(match.handler):
            user = request[CLAIMS] = recalled(app, request) or await identify(app, request, route)
            if user.role != "admin":
                app[RATE_LIMITER].admit(user.person)
        if request.body_exists:  # also where the handler needs none: it may be ignored, but not without end
            refuse_announced_size(request)
        response = await handler(request)
    except Exception as error:
        if request.writer.output_size:  # an answer has begun, and another one would be read as a part of it
            raise
        response = refused_by_aiohttp(error) if isinstance(error, web.HTTPException) else refused(request, error)
    seconds = time.monotonic() - began
    for observe in app[HTTP_OBSERVERS]:
        observe(request.method, route, response.status, seconds)
    if isinstance(response, Exception):  # of aiohttp's, one that is no refusal
        raise response
    return response


async def refuse_what_names_no_resource(request: web.Request) -> None:
    """Of what no route has: the forms that are no path (RFC 9112 §3.2.3, §3.2.4), which a token makes no better, and
    a public path with a slash too many, which is led to the one without.

    Raises HTTPException for these. Whatever else has no route goes on, so that a stranger learns no path.
    """
    target = request.rel_url.raw_path
    if request.method == hdrs.METH_CONNECT or not target.startswith("/"):
        raise web.HTTPMethodNotAllowed(request.method, ())
    there, slash, rest = target.rpartition("/")
    if slash and there and not rest:
        url = request.rel_url.with_path(there, encoded=True, keep_query=True)
        found = await request.app.router.resolve(request.clone(rel_url=url))
        if found.http_exception is None and is_public(found.handler):
            query = f"?{url.raw_query_string}" if url.raw_query_string else ""
            raise web.HTTPPermanentRedirect(f"../{url.raw_name}{query}")  # relative: we may be below a proxy's path


def recalled(app: web.Application, request: web.Request) -> Claims | None:
    """The claims of a token that was good before, which it is in every request but a client's first."""
    token = bearer_token(request.headers.get(hdrs.AUTHORIZATION))
    return None if token is None else app[AUTHENTICATOR].recall(token)


async def identify(app: web.Application, request: web.Request, route: str) -> Claims:
    """The claims of the request's token. Raises Unauthorized where it has no good one."""
    authorization = request.headers.get(hdrs.AUTHORIZATION)
    if route == WEBSOCKET_ROUTE:
        token = offered_token(authorization, request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL))
    else:
        token = bearer_token(authorization)
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
