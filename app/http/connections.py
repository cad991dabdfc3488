"""The TCP connections of HTTP and WebSocket: how many there may be, and how long one may stay idle.

aiohttp reads requests and writes answers; the limits that it lacks are here. A client has to send the rest of a
request's header soon after its first byte, and to read its answer; one that does not is cut off. Where all places are
taken, the connection that has waited longest for its client is closed for a new one, so that idle connections lock
nobody out. And a malformed request gets an answer of ours, which repeats nothing that the client sent.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from app.errors import (
    HEADER_TOO_LARGE,
    INTERNAL_ERROR,
    NO_HTTP,
    URI_TOO_LONG,
    Answer,
    Overloaded,
    RateLimited,
    answer_to,
)
from app.http.responses import JSON, as_response, refused_by_aiohttp
from schemas.base import encode

MAX_TARGET_BYTES = 8000  # of the request line's URL (RFC 9110 §4.1); its refusal is told from a field's by this number
MAX_FIELD_BYTES = 8192  # of one header field, name and value
MAX_FIELDS = 64
MAX_HEADER_BYTES = 64 * 1024  # of a whole header, while it is still incomplete
GRACE_S = 3.0  # seconds in which a header may be larger: while an unwanted body is read and dropped, and a bit more
CHECK_EVERY_S = 1.0
FEW_LEFT = 64  # places: what a burst of connections takes between two health checks

WHY_CUT = ("full", "address", "header", "read")
"""No place was free; too many came from one address; a header came too slowly; an answer was not read."""

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Observer = Callable[[str, str, int, float], None]

_log = logging.getLogger(__name__)


class HttpConnection(web.RequestHandler):
    """One connection: aiohttp's protocol, and since when it has been waiting for its client."""

    __slots__ = ("_connections", "_owed_since", "_unread_since", "_waiting_bytes", "_working", "address", "refused")

    def __init__(self, connections: Connections, server: web.Server, **options: Any) -> None:
        super().__init__(server, **options)
        self._connections = connections
        self._owed_since = math.inf  # when the request that is still incomplete began
        self._unread_since = math.inf  # when the client stopped reading
        self._waiting_bytes = 0
        self._working = False
        self.refused = False
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if peer else ""
        self._owed_since = self._connections.now()  # whoever connects has to send a request
        if (refusal := self._connections.admit(self)) is None:
            super().connection_made(transport)
        else:
            self.refused = True
            cast(asyncio.Transport, transport).write(in_full(refusal))
            transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self.refused:
            self._connections.lost(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        if not self._working:
            self._waiting_bytes += len(data)
            if self._owed_since == math.inf:
                self._owed_since = self._connections.now()
        super().data_received(data)

    def pause_writing(self) -> None:
        self._unread_since = self._connections.now()
        self._connections.waits(self)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread_since = math.inf
        if self._working:
            self._connections.waiting.pop(self, None)
        super().resume_writing()

    def begin(self) -> None:
        """A request's header is complete."""
        self._working = True
        self._owed_since = math.inf
        self._connections.waiting.pop(self, None)

    def end(self) -> None:
        """The request is answered, and the next one may come."""
        self._working = False
        self._waiting_bytes = 0
        self._connections.waits(self)

    def overdue(self, now: float, timeout_s: float) -> str | None:
        """What the client has delayed for too long: ``read`` for its answer, ``header`` for the rest of one; else
        None."""
        if now - self._unread_since > timeout_s:
            return "read"
        owed_s = now - self._owed_since
        if owed_s > timeout_s or (owed_s > GRACE_S and self._waiting_bytes > MAX_HEADER_BYTES):
            return "header"
        return None

    def cut(self) -> None:
        """Close it at once, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a malformed request. aiohttp's own answer would repeat what the client sent, perhaps a token."""
        if isinstance(exc, HttpProcessingError):
            answer = refusal_of(exc)
            _log.debug("refused a malformed request of %s: %s", request.remote, answer.code)
        else:
            super().handle_error(request, status, exc, message)  # logs it; raises where an answer has begun
            answer = INTERNAL_ERROR
        self._connections.answered(request, answer.status)
        response = as_response(answer)
        response.force_close()
        return response


class Connections:
    """The connections of one application. :meth:`factory` makes them, :meth:`run` closes those that take too long."""

    def __init__(
        self,
        most: int,
        most_per_address: int,
        timeout_s: float,
        observers: list[Observer],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``most_per_address`` 0 is no limit; ``timeout_s`` is the time for a header, and for reading an answer."""
        self.most = most
        self.now = clock
        self.cuts: Counter[str] = Counter()  # connections that were refused or cut off, by reason
        self._most_per_address = most_per_address
        self._timeout_s = timeout_s
        self._observers = observers
        self._open: set[HttpConnection] = set()
        self.waiting: dict[HttpConnection, None] = {}  # those that wait for their clients, the longest first
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    @property
    def few_left(self) -> bool:
        """Whether nearly all places are taken by connections with a request under way, which can't be closed for
        others."""
        return self.most - (len(self._open) - len(self.waiting)) < min(FEW_LEFT, self.most // 10 + 1)

    def factory(self, server: web.Server, **options: Any) -> Callable[[], HttpConnection]:
        """The protocol factory of ``server``; ``options`` are those of aiohttp's RequestHandler."""
        server.request_handler = self.at_work(server.request_handler)
        loop = asyncio.get_running_loop()
        limits = {"max_line_size": MAX_TARGET_BYTES, "max_field_size": MAX_FIELD_BYTES, "max_headers": MAX_FIELDS}
        return lambda: HttpConnection(self, server, loop=loop, **limits, **options)

    def at_work(self, handle: Handle) -> Handle:
        """``handle``, with the connection marked as busy meanwhile; aiohttp's own refusal (417) gets our body."""

        async def handled(request: web.BaseRequest) -> web.StreamResponse:
            connection = cast(HttpConnection, request.protocol)
            connection.begin()
            try:
                return await handle(request)
            except web.HTTPException as error:
                if (response := refused_by_aiohttp(error)) is error:
                    raise
                self.answered(request, response.status)
                return response
            finally:
                connection.end()

        return handled

    async def run(self) -> None:
        """Cut off the clients that are overdue, until cancelled."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            now = self.now()
            for connection in tuple(self._open):
                if (why := connection.overdue(now, self._timeout_s)) is not None:
                    self._cut(connection, why)

    def admit(self, connection: HttpConnection) -> Answer | None:
        """Give a new connection a place, where need be that of the one that has waited longest. Returns why not, or
        None."""
        if self._most_per_address and self._by_address[connection.address] >= self._most_per_address:
            self.cuts["address"] += 1
            return answer_to(RateLimited(math.ceil(CHECK_EVERY_S)))
        if len(self._open) >= self.most:
            longest = next(iter(self.waiting), None)
            self._cut(longest, "full")
            if longest is None:
                return answer_to(Overloaded(f"all {self.most} connections are in use"))
            self.lost(longest)
        self._open.add(connection)
        self.waiting[connection] = None
        self._by_address[connection.address] += 1
        return None

    def lost(self, connection: HttpConnection) -> None:
        """Free its place. A second call does nothing."""
        if connection not in self._open:
            return
        self._open.discard(connection)
        self.waiting.pop(connection, None)
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]

    def waits(self, connection: HttpConnection) -> None:
        if connection in self._open:
            self.waiting.setdefault(connection)

    def answered(self, request: web.BaseRequest, status: int) -> None:
        """Tell the observers of an answer that was given without a route."""
        for observe in self._observers:
            observe(request.method, "", status, 0.0)

    def _cut(self, connection: HttpConnection | None, why: str) -> None:
        self.cuts[why] += 1
        if connection is not None:
            connection.cut()


def refusal_of(error: HttpProcessingError) -> Answer:
    """The answer to what aiohttp's parser refuses. Of a line that is too long it says only the limit, not which
    line."""
    if not isinstance(error, LineTooLong):
        return NO_HTTP
    return URI_TOO_LONG if error.args[1:2] == (MAX_TARGET_BYTES,) else HEADER_TOO_LARGE


def in_full(answer: Answer) -> bytes:
    """The bytes of an answer, status line and header included."""
    body = encode(answer.body)
    lines = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"Content-Type: {JSON}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in answer.headers),
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode() + body
