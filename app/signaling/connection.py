"""One WebSocket from its upgrade to its end. Knows frames and deadlines, and nothing of commands and calls.

It has up to three tasks: the request's own, which reads; one that writes; and one that replays missed events. All
others only put frames into the outbox or call :meth:`Connection.close`, neither of which waits.

Every end is the same. The socket leaves the hub. The writer sends what is left and a Close frame, and shuts its half
of the TCP connection. The reader reads on until the client has closed, too (RFC 6455 §7.1.1): a connection that is
dropped with unread bytes is reset, and the reset can overtake the Close frame. After ``close_within_s`` it is cut.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress

from aiohttp import WebSocketError, WSCloseCode, WSMsgType, hdrs, web

from app.access.tokens import WEBSOCKET_BEARER, Claims, offered_token
from app.person import Person
from app.signaling.hub import Event, Hub
from app.signaling.limits import CloseCode, Limits
from app.signaling.outbox import Backlog, Frame, Outbox

Replay = Callable[[Person, int], Awaitable[Sequence[Event]]]
"""``await replay(person, since)``: the next page of a person's stored events with a ``seq`` above ``since``, in rising
order; empty at the end."""

Answer = Callable[[Claims, str | bytes], Awaitable[bytes]]
"""``await answer(claims, message)``: the answer to a text (str) or binary (bytes) message. Never raises."""

Greet = Callable[[Person], bytes | None]
"""``greet(person)``: the message with which each socket begins, and which is so now; None where there is none."""


def nothing_first(_: Person) -> None:
    return None


_UNREADABLE = frozenset({CloseCode.TOO_SLOW, CloseCode.SILENT})  # a client that does not read gets no rest either
PRIVATE_CODES = 3000  # from here on codes are private (RFC 6455 §7.4.2): a client's is echoed
_SOONEST_S = 0.001  # a timer may fire a moment early: it is set again for this much later

_LINGER_POLL_S = 0.05  # after a parser's failure aiohttp does not tell when the connection is lost

_log = logging.getLogger(__name__)


class Upgraded(web.WebSocketResponse):
    """aiohttp's WebSocket, but for its closing, which cuts TCP while the client may still be sending."""

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        """Does nothing: the outbox writes the Close frame, and :meth:`Connection.run` ends the connection."""
        return True


class Connection:
    """One socket of one user. The owner awaits :meth:`run`; the hub calls :meth:`deliver` and :meth:`close`."""

    def __init__(
        self,
        request: web.Request,
        claims: Claims,
        hub: Hub,
        limits: Limits,
        clock: Callable[[], float] = time.time,
        greet: Greet = nothing_first,
    ) -> None:
        self.claims = claims
        self._request = request
        self._hub = hub
        self._limits = limits
        self._clock = clock  # seconds since 1970, as in tokens
        self._greet = greet
        self._loop = asyncio.get_running_loop()
        self._socket = Upgraded(
            protocols=(WEBSOCKET_BEARER,),
            autoping=False,  # pongs go through the outbox, and pings count as signs of life
            autoclose=False,
            compress=False,  # messages are small, and a deflate window per socket is not
            max_msg_size=limits.message_bytes + 1,  # aiohttp refuses what is as long as its limit
            writer_limit=0,  # drain at every frame, which waits once the transport's own buffer is full
        )
        self._outbox = Outbox(limits.outbox_frames, limits.outbox_bytes)
        self._held: Backlog | None = Backlog(limits.outbox_frames, limits.outbox_bytes)
        self._had = 0  # the last event that the client had from another node, where that is ahead of this one
        self._published = 0  # the last event that was published before this socket joined
        self._replayed: set[int] = set()  # later ones that were replayed, and may still be published
        self._catching_up: asyncio.Task[None] | None = None
        self._closing = False
        self._heard_at = self._ping_at = self._beat_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Connection of {self.claims.person} from {self._request.remote}>"

    @property
    def token(self) -> str | None:
        """The token with which the socket was opened."""
        headers = self._request.headers
        return offered_token(headers.get(hdrs.AUTHORIZATION), headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL))

    @property
    def is_handshake(self) -> bool:
        """Whether the request is a WebSocket handshake."""
        return self._socket.can_prepare(self._request).ok

    async def run(
        self, answer: Answer, replay: Replay, since: int | None, turn: AbstractAsyncContextManager[object]
    ) -> web.WebSocketResponse:
        """Upgrade, replay the events after ``since``, and answer messages until the connection is gone.

        :param turn: the lock that the replay holds.
        """
        self._published = self._hub.published
        self._hub.join(self)  # before the client knows that it is connected: it must miss nothing that it causes
        try:
            await self._socket.prepare(self._request)
            writer = asyncio.create_task(self._write(), name=f"websocket writer of {self.claims.person}")
            try:
                self._ping_at += self._limits.ping_every_s
                self._beat_at = self._loop.time()
                if not self._closing:
                    self._beat()
                    self._send_first()
                    self._begin_to_catch_up(replay, since, turn)
                await self._read(answer)
            finally:
                self.close(CloseCode.NORMAL)
                await asyncio.gather(*filter(None, (self._catching_up,)), return_exceptions=True)
                await writer
        except ConnectionError as error:
            _log.debug("%r was gone before its upgrade: %s", self, error)
        finally:
            self.close(CloseCode.NORMAL)
            if self._timer is not None:
                self._timer.cancel()
            if (transport := self._request.transport) is not None:
                transport.close()
        return self._socket

    def deliver(self, seq: int, message: bytes) -> None:
        """Send an event: after those that are being replayed, and not again where the client has had it."""
        if seq <= self._had:
            return
        if self._held is not None:
            if not self._held.add(Frame(message, seq=seq)):
                self.close(CloseCode.TOO_SLOW)
        elif seq in self._replayed:
            self._replayed.discard(seq)
        else:
            self._send(Frame(message, seq=seq))

    def close(self, code: int) -> None:
        """Begin to close. Returns at once; only the first call counts."""
        if self._closing:
            return
        self._closing = True
        self._hub.leave(self)
        if self._catching_up is not None:
            self._catching_up.cancel()
        self._outbox.close(code, discard=code in _UNREADABLE)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._limits.close_within_s, self._cut)
        _log.debug("%r closes with %d", self, code)

    def _send(self, frame: Frame) -> None:
        if not self._outbox.put(frame):
            _log.info("%r reads too slowly", self)
            self.close(CloseCode.TOO_SLOW)

    def _cut(self) -> None:
        if (transport := self._request.transport) is not None:
            transport.abort()

    def _beat(self) -> None:
        """Ping, or close where the token has expired or nothing was heard for too long; then set the next timer."""
        now, valid_s = self._loop.time(), self.claims.expires_at - self._clock()
        self._heard_at += now - self._beat_at  # while our event loop stood still we could hear nothing
        silent_at = self._heard_at + self._limits.silent_after_s
        if valid_s <= 0:
            self.close(CloseCode.TOKEN_EXPIRED)
            return
        if now >= silent_at:
            self.close(CloseCode.TOO_SLOW if len(self._outbox) else CloseCode.SILENT)
            return
        if now >= self._ping_at:
            self._ping_at = now + self._limits.ping_every_s
            self._send(Frame(b"", WSMsgType.PING))
        if not self._closing:  # one ping too many may have filled the outbox, and closed it
            self._beat_at = now + max(min(self._ping_at - now, silent_at - now, valid_s), _SOONEST_S)
            self._timer = self._loop.call_at(self._beat_at, self._beat)

    async def _write(self) -> None:
        try:
            await self._outbox.write_to(self._socket)
        finally:
            self.close(CloseCode.INTERNAL_ERROR)  # only where it has not begun to close
            transport = self._request.transport
            if transport is not None and not transport.is_closing() and transport.can_write_eof():
                with suppress(OSError):  # the client is gone already
                    transport.write_eof()  # nothing follows a Close frame; clients that wait for TCP's end get it

    def _send_first(self) -> None:
        if (message := self._greet(self.claims.person)) is not None:
            self._send(Frame(message, free=True))  # however many otomos there are

    def _begin_to_catch_up(self, replay: Replay, since: int | None, turn: AbstractAsyncContextManager[object]) -> None:
        if since is None:
            self._release()
            return
        work = self._catch_up(replay, since, turn)
        self._catching_up = asyncio.create_task(work, name=f"replay to {self.claims.person}")

    async def _catch_up(self, replay: Replay, since: int, turn: AbstractAsyncContextManager[object]) -> None:
        """Send the events that the user missed, page by page and no faster than the client reads, then those that were
        held back meanwhile: each once, in the order of ``seq``. The limits on silence and slowness hold as always."""
        try:
            async with turn:
                if since > self._published:  # it was told elsewhere, and is yet to be published here; or is no event
                    page = await replay(self.claims.person, since - 1)
                    self._had = since if page and page[0].seq == since else 0
                while page := await replay(self.claims.person, since):
                    # Events are stored before they are published: a replayed one may still be published, now or later.
                    self._replayed.update(event.seq for event in page if event.seq > self._published)
                    for event in page:
                        self._send(Frame(event.encode(), seq=event.seq))
                        await self._outbox.room()
                    since = page[-1].seq
        except Exception:
            _log.exception("missed events could not be replayed to %r", self)
            self.close(CloseCode.INTERNAL_ERROR)
            return
        self._send_first()  # once more: what was replayed was so once
        self._release()

    def _release(self) -> None:
        """Send the events that were held back, and from now on each at once."""
        held, self._held = self._held, None
        for frame in sorted(held or (), key=lambda frame: frame.seq):
            self.deliver(frame.seq, frame.message)

    async def _read(self, answer: Answer) -> None:
        """Answer messages one after the other, until the end."""
        while True:
            message = await self._socket.receive()
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY if not self._closing:
                    self._heard_at = math.inf
                    self._send(Frame(await answer(self.claims, message.data)))
                case WSMsgType.PING:
                    self._send(Frame(message.data, WSMsgType.PONG))
                case WSMsgType.CLOSE:
                    self.close(message.data if message.data >= PRIVATE_CODES else CloseCode.NORMAL)
                    return
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):
                    self.close(message.data.code)  # what the client sent breaks the protocol, or is too long
                    await self._linger()
                    return
                case WSMsgType.CLOSING | WSMsgType.CLOSED | WSMsgType.ERROR:
                    return
            self._heard_at = self._loop.time()
            await self._outbox.room()

    async def _linger(self) -> None:
        """Drop what the client still sends, until it closes or is cut off."""
        while self._request.transport is not None:  # noqa: ASYNC110 -- there is nothing to wait for
            await asyncio.sleep(_LINGER_POLL_S)
