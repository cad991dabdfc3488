"""What stands around handlers in a cluster: who may come in by the internal listener, and what is passed on."""

from __future__ import annotations

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from app.cluster.forwarder import MISDIRECTED, OF_A_CALL, OF_AN_OBJECT, Answered, CameHere
from app.cluster.hops import HEADER, on_behalf_of
from app.cluster.ids import prefix_of
from app.errors import Draining, LivesElsewhere, Overloaded
from app.http.body import raw_body
from app.keys import CLUSTER, INTERNAL_PORT, MEMBERSHIP, PEER

ANSWERED_BY = "X-Voiceplane-Node"
NEW_CALLS = ("/calls", "/admin/calls", "/rtc/preflights")  # a node that takes none passes them on
PASSED_ON = (hdrs.AUTHORIZATION, hdrs.CONTENT_TYPE, hdrs.CONTENT_ENCODING, hdrs.ACCEPT)


@web.middleware
async def peers_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Outermost: a mark is believed where it is a peer's, and only peers come in by the internal listener."""
    mark = request.headers.get(HEADER)
    if mark is not None:
        if not request.app[CLUSTER].hops.is_peer(mark, request.method, request.rel_url.raw_path_qs):
            raise web.HTTPForbidden
        request[PEER] = on_behalf_of(mark)
    elif port_of(request) == request.app[INTERNAL_PORT]:
        raise web.HTTPForbidden
    return await handler(request)


async def name_node(request: web.Request, response: web.StreamResponse) -> None:
    """Name the node that answers as the ids of its objects do, by which a balancer learns where they are."""
    response.headers[ANSWERED_BY] = prefix_of(request.app[MEMBERSHIP].view.me.number)


def port_of(request: web.Request) -> int | None:
    """The port that the request came in by."""
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return int(name[1]) if name else None


@web.middleware
async def forwarding(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Innermost: what is not here is asked of its owner, once."""
    try:
        return await handler(request)
    except (*OF_A_CALL, *OF_AN_OBJECT) as error:
        if PEER in request:
            if isinstance(error, LivesElsewhere):
                return web.Response(status=MISDIRECTED)
            raise
        try:
            return await forwarded(request, error)
        except CameHere:
            return await handler(request)
    except (Draining, Overloaded) as error:
        if PEER in request or request.method != hdrs.METH_POST or request.path not in NEW_CALLS:
            raise
        return answer_of(await request.app[CLUSTER].pass_on(error, *asked(request)))


async def forwarded(request: web.Request, error: Exception) -> web.Response:
    """The answer of the owner of what was not found here."""
    return answer_of(await request.app[CLUSTER].forward(error, *asked(request)))


def asked(request: web.Request) -> tuple[str, str, bytes, dict[str, str]]:
    """What is passed on of a request: its method, target, body and headers."""
    headers = {str(name): request.headers[name] for name in PASSED_ON if name in request.headers}
    return request.method, request.rel_url.raw_path_qs, raw_body(request), headers


def answer_of(answered: Answered) -> web.Response:
    return web.Response(status=answered.status, body=answered.body, headers=dict(answered.headers))
