"""Which pages of other origins may read what the node answers: CORS, as the Fetch standard has it (§3.2).

Every answer says so, refusals included, or a page could not tell a 401 from a dead network: the headers are added where
an answer is about to be sent. A preflight is answered before anything else is looked at, since it bears no token. Where
no origin is configured, neither is there, and costs nothing.

aiohttp-cors would do this for one resource at a time, and for none that does not exist.
"""

from __future__ import annotations

from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

ANY: Final = "*"  # of the setting: every origin, and never with credentials
PREFLIGHT_LASTS_S: Final = 600
METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
SENT: Final = "Authorization, Content-Type, Content-Encoding, Range, If-None-Match, If-Modified-Since, If-Range"
READ: Final = "Content-Disposition, Content-Range, ETag, Retry-After, WWW-Authenticate, X-Request-Id"


class Cors:
    """The rules for these origins, each as browsers send it; or for ``*``."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._any = ANY in origins
        self._origins = frozenset(origins)

    @web.middleware
    async def answer_preflights(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Stands outside what asks for a token. Answers a preflight of an origin that may ask; all else goes on."""
        asks = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if not (asks and self._allowed(request)):
            return await handler(request)
        headers = {
            hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
            hdrs.ACCESS_CONTROL_ALLOW_HEADERS: SENT,
            hdrs.ACCESS_CONTROL_MAX_AGE: str(PREFLIGHT_LASTS_S),
        }
        return web.Response(status=204, headers=headers)

    async def allow(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Hears of every answer that is about to be sent, and adds what lets the page read it. What is for every page
        already stays so."""
        headers = response.headers
        if hdrs.ACCESS_CONTROL_ALLOW_ORIGIN in headers:
            return
        if not self._any:  # what is cached for one origin must not be given to another
            headers.add(hdrs.VARY, hdrs.ORIGIN)
        if not self._allowed(request):
            return
        headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = READ
        headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = ANY if self._any else request.headers[hdrs.ORIGIN]
        if not self._any:
            headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"

    def _allowed(self, request: web.BaseRequest) -> bool:
        origin = request.headers.get(hdrs.ORIGIN)
        return origin is not None and (self._any or origin in self._origins)
