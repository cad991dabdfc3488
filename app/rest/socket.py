"""``GET /ws``: what is checked before the upgrade, and which connections are alive. Knows no frames and no commands.

The middleware has checked the token, which is in the ``Authorization`` header or in the subprotocol pair
``["bearer", "<JWT>"]``, of which only ``bearer`` is answered.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from weakref import WeakValueDictionary

from aiohttp import web

from app.access.ratelimit import RateLimiter
from app.errors import UPGRADE_REQUIRED, BadRequest, Draining, Unauthorized
from app.http.responses import as_response
from app.keys import claims
from app.openapi.declaration import Parameter
from app.person import Person
from app.signaling.connection import Connection, Greet, Replay, nothing_first
from app.signaling.dispatch import Dispatcher
from app.signaling.hub import Hub
from app.signaling.limits import CloseCode, Limits
from schemas.signaling import MAX_SEQ
from schemas.types import Seq

TOKEN_PARAMETERS = frozenset({"token", "access_token", "bearer", "jwt", "authorization"})
AT_A_TIME = 20  # tokens that are verified in one turn of the event loop: a few milliseconds
SEQ = re.compile(r"[0-9]{1,16}", re.ASCII)

SINCE = Parameter("since", Seq, "replay the events after this `seq`, then go on")

_log = logging.getLogger(__name__)


async def nothing_rings(_: Person) -> None:
    return None


class Endpoint:
    """The handler of ``GET /ws`` with the connections that it serves."""

    def __init__(
        self,
        hub: Hub,
        dispatcher: Dispatcher,
        replay: Replay,
        limits: Limits,
        openings: RateLimiter,
        clock: Callable[[], float] = time.time,
        greet: Greet = nothing_first,
        ringing_since: Callable[[Person], Awaitable[int | None]] = nothing_rings,
    ) -> None:
        """``openings`` limits how many sockets a user may open in some time. ``ringing_since(person)`` is the number
        of the event from which on a person who comes anew has to be told, if any."""
        self._hub = hub
        self._dispatcher = dispatcher
        self._replay = replay
        self._limits = limits
        self._clock = clock
        self._openings = openings
        self._greet = greet
        self._ringing_since = ringing_since
        self._turns: WeakValueDictionary[Person, asyncio.Lock] = WeakValueDictionary()  # at a replay
        self._gone: dict[Connection, asyncio.Event] = {}

    def __len__(self) -> int:
        """How many connections are alive, those that are closing included."""
        return len(self._gone)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Upgrade, and serve the socket to its end.

        Refused before the upgrade: 401 for a token in the URL, even a good one, because URLs are logged and shared;
        426 where the request is no WebSocket handshake; 400 where ``since`` is no ``seq``; 503 while the node stops;
        429 for a user who opens sockets too often. A user's replays take turns.
        """
        if TOKEN_PARAMETERS & {name.lower() for name in request.query}:
            _log.warning("%s sent a token in the URL: it must be regarded as lost", claims(request).person)
            raise Unauthorized("token in the URL", token_given=True)
        who = claims(request)
        connection = Connection(request, who, self._hub, self._limits, self._clock, self._greet)
        if not connection.is_handshake:
            return as_response(UPGRADE_REQUIRED)
        since = since_of(request)
        if self._hub.closed:
            raise Draining
        if not who.is_admin:
            self._openings.admit(who.person)
        turn = self._turns.setdefault(who.person, asyncio.Lock())
        gone = self._gone[connection] = asyncio.Event()
        try:
            if since is None and (first := await self._ringing_since(who.person)) is not None:
                since = first - 1
            return await connection.run(self._dispatcher.answer, self._replay, since, turn)
        finally:
            del self._gone[connection]
            gone.set()

    async def recheck_tokens(self, accepts: Callable[[str], bool]) -> None:
        """Close the sockets whose tokens are not accepted any more; a few at a time, because verifying many takes
        long."""
        for looked_at, (connection, token) in enumerate(self._tokens(), start=1):
            if not accepts(token):
                connection.close(CloseCode.TOKEN_WITHDRAWN)
            if looked_at % AT_A_TIME == 0:
                await asyncio.sleep(0)

    def _tokens(self) -> list[tuple[Connection, str]]:
        offered = ((connection, connection.token) for connection in self._gone)
        return [(connection, token) for connection, token in offered if token is not None]

    async def shut_down(self, _app: web.Application | None = None) -> None:
        """Close every socket with 1001 and wait until all are gone.

        A command that is not done within twice ``close_within_s`` is left to aiohttp, which cancels it.
        """
        self._hub.close_all(CloseCode.GOING_AWAY)
        try:
            async with asyncio.timeout(2 * self._limits.close_within_s):
                for gone in tuple(self._gone.values()):
                    await gone.wait()
        except TimeoutError:
            _log.warning(
                "commands of these sockets are cancelled, because the node stops: %s", ", ".join(map(repr, self._gone))
            )


def since_of(request: web.Request) -> int | None:
    """The last ``seq`` that the client saw; None where it starts anew. Raises BadRequest where it is no ``seq``."""
    given = request.query.getall("since", [])
    if not given:
        return None
    if len(given) > 1 or not SEQ.fullmatch(given[0]) or int(given[0]) > MAX_SEQ:
        raise BadRequest.at("since", f"must be a whole number from 0 to {MAX_SEQ}")
    return int(given[0])
