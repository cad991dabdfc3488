"""The one middleware around every handler: the token, the rate, the answer to failures, and the observers' figures.

The contract's order is kept: 401, then BANNED, then 429, then what the handler finds. No body is read here, so that a
refused request costs no more than its header; aiohttp drops the rest, or closes the connection.

A mark on a handler says whom it is for: everybody (:func:`public`) or admins alone (:func:`admin_only`); without one,
everybody with a good token. What counts is the handler that was matched, not how the path was spelled.
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
from app.keys import AUTHENTICATOR, CLAIMS, HTTP_OBSERVERS, PEER, RATE_LIMITER, SETTINGS, claims

WEBSOCKET_ROUTE = "/ws"
METRICS_ROUTE = "/metrics"
ROUTES = 256  # whose marks are remembered; an application has fewer

SCRAPER = Claims(
    "metrics", "admin", math.inf, math.inf
)  # whoever reads /metrics by METRICS_TOKEN, which is good for that route alone

Marked = TypeVar("Marked", bound=Handler)

_log = logging.getLogger(__name__)


def public(handler: Marked) -> Marked:
    """Mark a handler as one for everybody: it needs no token, and has no rate limit."""
    handler.__dict__["is_public"] = True
    return handler


def admin_only(handler: Any) -> Any:
    """Refuse a handler to all but admins with FORBIDDEN, but only after its body was found good."""

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
    """Call the handler, or answer in its place; then tell the observers how it went."""
    began = time.monotonic()
    app, match = request.app, request.match_info
    response: web.StreamResponse
    route, for_everybody = "", False
    try:
        if match.http_exception is None:
            route, for_everybody = known(match.route)
        else:
            await refuse_what_names_no_resource(request)
        if not for_everybody:
            user = request[CLAIMS] = recalled(app, request) or await identify(app, request, route)
            app[AUTHENTICATOR].standing.check(user.person, user.issued_at)
            if user.role != "admin":
                app[RATE_LIMITER].admit(user.person)
        if request.body_exists:  # also where the handler reads none: aiohttp drops it, which must not take for ever
            refuse_announced_size(request)
        response = await handler(request)
    except Exception as error:
        if request.writer.output_size:  # an answer has begun: a second one would be read as a part of it
            raise
        response = refused_by_aiohttp(error) if isinstance(error, web.HTTPException) else refused(request, error)
    seconds = time.monotonic() - began
    for observe in app[HTTP_OBSERVERS]:
        observe(request.method, route, response.status, seconds)
    if isinstance(response, Exception):  # aiohttp's redirects are exceptions
        raise response
    return response


@functools.lru_cache(ROUTES)
def known(route: web.AbstractRoute) -> tuple[str, bool]:
    """A route's template, and whether it is for everybody."""
    return "" if route.resource is None else route.resource.canonical, is_public(route.handler)


async def refuse_what_names_no_resource(request: web.Request) -> None:
    """Answer two kinds of requests without a route before a token is asked for: targets that are no path (RFC 9112
    §3.2.3, §3.2.4), and public paths with a slash too many, which are redirected.

    Raises HTTPException for these. All others go on, so that nobody learns without a token which paths there are.
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
            raise web.HTTPPermanentRedirect(
                f"../{url.raw_name}{query}"
            )  # relative, since a proxy may have put a prefix before our paths


def recalled(app: web.Application, request: web.Request) -> Claims | None:
    """The claims of a token that was verified before: the usual case; else None."""
    token = bearer_token(request.headers.get(hdrs.AUTHORIZATION))
    return None if token is None else app[AUTHENTICATOR].recall(token)


async def identify(app: web.Application, request: web.Request, route: str) -> Claims:
    """The claims of the request's token. Raises Unauthorized where it has no good one."""
    if (person := request.get(PEER)) is not None:  # a peer asks on behalf of somebody whose token it has verified
        return Claims(person.id, person.role, math.inf, math.inf)
    authorization = request.headers.get(hdrs.AUTHORIZATION)
    if route == WEBSOCKET_ROUTE:
        token = offered_token(authorization, request.headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL))
    else:
        token = bearer_token(authorization)
    if route == METRICS_ROUTE and token is not None and is_metrics_token(app, token):
        return SCRAPER
    return await app[AUTHENTICATOR].authenticate(token)


def is_metrics_token(app: web.Application, token: str) -> bool:
    """Whether it is METRICS_TOKEN, which opens ``/metrics`` and nothing else."""
    known = app[SETTINGS].metrics_token
    return known is not None and secrets.compare_digest(token.encode("utf-8", "replace"), known.encode())


def refused(request: web.Request, error: Exception) -> web.Response:
    """The answer to a failure. One that the table does not know is our mistake: it is logged with its traceback, under
    an id that the client gets."""
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
