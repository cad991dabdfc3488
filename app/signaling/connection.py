"""One WebSocket from its upgrade to its end. Knows what a frame and a deadline are, and nothing of commands and calls.

Up to three tasks live here: the request's own, which reads, one that writes, and one that sends what was missed.
Everybody else only puts frames into the outbox or calls :meth:`Connection.close`, and neither waits.

The end is always the same: the socket leaves the hub, the writer sends what is left and a Close frame and shuts its
half of the TCP connection, the reader reads on until the client has closed too (RFC 6455 §7.1.1; a connection that is
dropped with unread bytes is reset, and the reset can overtake the Close frame), and after ``close_within_s`` it is cut.
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
"""``await replay(person, since)``: the next of the kept events for a person with a ``seq`` above ``since``, rising; in
the end none."""

Answer = Callable[[Claims, str | bytes], Awaitable[bytes]]
"""``await answer(claims, message)``: what a text (str) or binary (bytes) message is answered with. Never raises."""

_UNREADABLE = frozenset({CloseCode.TOO_SLOW, CloseCode.SILENT})  # who does not read is not sent the rest either
PRIVATE_CODES = 3000  # a client's own close codes (RFC 6455 §7.4.2) are answered with themselves
_SOONEST_S = 0.001  # a timer may fire a moment early: try again this much later

_LINGER_POLL_S = 0.05  # aiohttp tells nobody that a connection was lost whose parser has failed

_log = logging.getLogger(__name__)


class Upgraded(web.WebSocketResponse):
    """aiohttp's WebSocket without its ways to close, which cut TCP while the client may still be sending."""

    async def close(self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True) -> bool:
        """Nothing: the outbox writes the Close frame, and :meth:`Connection.run` ends the connection."""
        return True


class Connection:
    """One socket of one user. The owner awaits :meth:`run`; the hub calls :meth:`deliver` and :meth:`close`."""

    def __init__(
        self, request: web.Request, claims: Claims, hub: Hub, limits: Limits, clock: Callable[[], float] = time.time
    ) -> None:
        self.claims = claims
        self._request = request
        self._hub = hub
        self._limits = limits
        self._clock = clock  # seconds since 1970, which tokens expire by
        self._loop = asyncio.get_running_loop()
        self._socket = Upgraded(
            protocols=(WEBSOCKET_BEARER,),
            autoping=False,  # pongs go through the outbox, and pings count as signs of life
            autoclose=False,
            compress=False,  # messages are small, and a deflate window per socket is not
            max_msg_size=limits.message_bytes + 1,  # aiohttp refuses what reaches its limit
            writer_limit=0,  # wait for the client at every frame, once the transport's own buffer is full
        )
        self._outbox = Outbox(limits.outbox_frames, limits.outbox_bytes)
        self._held: Backlog | None = Backlog(limits.outbox_frames, limits.outbox_bytes)
        self._published = 0  # the last event that was told before this socket was there
        self._replayed: set[int] = set()  # of later ones, those that were sent and may still be told
        self._catching_up: asyncio.Task[None] | None = None
        self._closing = False
        self._heard_at = self._ping_at = self._beat_at = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Connection of {self.claims.person} from {self._request.remote}>"

    @property
    def token(self) -> str | None:
        """By which the socket was opened."""
        headers = self._request.headers
        return offered_token(headers.get(hdrs.AUTHORIZATION), headers.get(hdrs.SEC_WEBSOCKET_PROTOCOL))

    @property
    def is_handshake(self) -> bool:
        """Whether the request can be upgraded at all."""
        return self._socket.can_prepare(self._request).ok

    async def run(
        self, answer: Answer, replay: Replay, since: int | None, turn: AbstractAsyncContextManager[object]
    ) -> web.WebSocketResponse:
        """Upgrade, replay what came after ``since``, answer messages, until the connection is gone.

        :param turn: what the replay waits for, and holds as long as it goes on.
        """
        self._published = self._hub.published
        self._hub.join(self)  # before the client can know that it is connected: it must not miss what it causes next
        try:
            await self._socket.prepare(self._request)
            writer = asyncio.create_task(self._write(), name=f"websocket writer of {self.claims.person}")
            try:
                self._ping_at += self._limits.ping_every_s
                self._beat_at = self._loop.time()
                if not self._closing:
                    self._beat()
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
        """Send an event, after those that are being replayed, and not again if it was among them."""
        if self._held is not None:
            if not self._held.add(Frame(message, seq=seq)):
                self.close(CloseCode.TOO_SLOW)
        elif seq in self._replayed:
            self._replayed.discard(seq)
        else:
            self._send(Frame(message, seq=seq))

    def close(self, code: int) -> None:
        """Begin to close. Does not wait, and only the first call counts."""
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
        _log.debug("%r closes: %d", self, code)

    def _send(self, frame: Frame) -> None:
        if not self._outbox.put(frame):
            _log.info("%r reads too slowly", self)
            self.close(CloseCode.TOO_SLOW)

    def _cut(self) -> None:
        if (transport := self._request.transport) is not None:
            transport.abort()

    def _beat(self) -> None:
        """Ping, or close an expired or silent socket, and come back when the next of these can be due."""
        now, valid_s = self._loop.time(), self.claims.expires_at - self._clock()
        self._heard_at += now - self._beat_at  # while our loop stood still nobody could be heard
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
        if not self._closing:  # which a ping too many would have made it
            self._beat_at = now + max(min(self._ping_at - now, silent_at - now, valid_s), _SOONEST_S)
            self._timer = self._loop.call_at(self._beat_at, self._beat)

    async def _write(self) -> None:
        try:
            await self._outbox.write_to(self._socket)
        finally:
            self.close(CloseCode.INTERNAL_ERROR)  # where it ended otherwise than by a close
            transport = self._request.transport
            if transport is not None and not transport.is_closing() and transport.can_write_eof():
                with suppress(OSError):  # the client is gone already
                    transport.write_eof()  # nothing follows a Close frame; who waits for TCP's end gets it

    def _begin_to_catch_up(self, replay: Replay, since: int | None, turn: AbstractAsyncContextManager[object]) -> None:
        if since is None:
            self._release()
            return
        work = self._catch_up(replay, since, turn)
        self._catching_up = asyncio.create_task(work, name=f"replay to {self.claims.person}")

    async def _catch_up(self, replay: Replay, since: int, turn: AbstractAsyncContextManager[object]) -> None:
        """Send what the user missed, page by page and no faster than it is read, then what was held back meanwhile:
        each event once, and in the order of ``seq``. Silence and slowness are judged as ever."""
        try:
            async with turn:
                while page := await replay(self.claims.person, since):
                    # An event is stored before it is published: one that is replayed may still come, now or later.
                    self._replayed.update(event.seq for event in page if event.seq > self._published)
                    for event in page:
                        self._send(Frame(event.encode(), seq=event.seq))
                        await self._outbox.room()
                    since = page[-1].seq
        except Exception:
            _log.exception("%r can't be told what it missed", self)
            self.close(CloseCode.INTERNAL_ERROR)
            return
        self._release()

    def _release(self) -> None:
        """Deliver what was held back, and what comes from now on at once."""
        held, self._held = self._held, None
        for frame in sorted(held or (), key=lambda frame: frame.seq):
            self.deliver(frame.seq, frame.message)

    async def _read(self, answer: Answer) -> None:
        """Answer messages one after the other, and notice the end."""
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
                    self.close(message.data.code)  # what the client sends breaks the protocol, or is too long
                    await self._linger()
                    return
                case WSMsgType.CLOSING | WSMsgType.CLOSED | WSMsgType.ERROR:
                    return
            self._heard_at = self._loop.time()
            await self._outbox.room()

    async def _linger(self) -> None:
        """Let the client finish what it is sending, unread, until it closes or is cut off."""
        while self._request.transport is not None:  # noqa: ASYNC110 -- there is nothing to wait for
            await asyncio.sleep(_LINGER_POLL_S)
