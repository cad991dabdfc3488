"""The conversation with one worker: frames in and out, requests and their answers, notifications to who listens.

Bytes come in by ``feed`` and leave by the ``write`` that it was given; there is no pipe, process or clock in here, so
the whole protocol is tested without them. Call order is wire order: nothing is awaited before a frame is written.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Literal

from worker_bridge.codec import MessageCodec
from worker_bridge.errors import InvalidMessage, InvalidRequest, NotAnswered, NotFound, RequestRefused, WorkerGone
from worker_bridge.ids import uuids

Body = dict[str, Any]
Listener = Callable[[str, Body], None]
"""Gets an event's name and body (empty where the event has none)."""

Outcome = Literal["accepted", "refused", "gone"]
Note = Callable[[float], object]
"""Gets the seconds that an answer took to reach us."""

Observer = Callable[[str, Outcome], Note | None]
"""Asked once for each method and outcome where that is noted; None for nowhere."""

Pending = tuple[str, float, asyncio.Future[Body] | None]
"""A request's method, the monotonic time at which it was sent, and its answer's future, where anybody waits for it."""

FRAME_LIMIT = 8 * 1024 * 1024  # bytes, with the four of the length: what the worker accepts and sends at most
PREFIX = 4
LENGTH = struct.Struct("<I")
LAST_REQUEST_ID = 0xFFFF_FFFF

logger = logging.getLogger(__name__)
worker_logger = logging.getLogger("worker_bridge.native_worker")
WORKER_LEVELS = {"D": logging.DEBUG, "W": logging.WARNING, "E": logging.WARNING, "X": logging.INFO}
REFUSALS = {"NotFoundError": NotFound, "TypeError": InvalidRequest}


class FrameBuffer:
    """Cuts a byte stream into length-prefixed frames. A frame is only valid until the next call."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._limit = limit
        self._parts: list[bytes] = []  # of a frame that is not whole yet
        self._missing = 0  # bytes of it, as far as is known

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """Frames, each with its prefix, that ``data`` completes; InvalidMessage if one is longer than the limit."""
        if self._parts:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._parts)
            self._parts = []
        view = memoryview(data)
        start, end, size = 0, len(view), PREFIX
        while end - start >= PREFIX:
            size = PREFIX + LENGTH.unpack_from(data, start)[0]
            if size > self._limit:
                raise InvalidMessage(f"a frame of {size} bytes is over the limit of {self._limit}")
            if end - start < size:
                break
            yield view[start : start + size]
            start += size
            size = PREFIX
        if start < end:
            self._parts, self._missing = [bytes(view[start:])], size - (end - start)


class Channel:
    """Requests by id, listeners by handler id.

    ``alarm`` is called when the worker's bytes make no sense; ``unclaimed`` gets the notifications for handler ids that
    nobody listens to; ``drain`` waits until what was written has left; ``new_id`` makes the ids of objects.
    """

    def __init__(
        self,
        codec: MessageCodec,
        write: Callable[[bytes], None],
        alarm: Callable[[Exception], None],
        unclaimed: Listener,
        drain: Callable[[], Awaitable[None]] | None = None,
        new_id: Callable[[], str] | None = None,
    ) -> None:
        self._codec = codec
        self._write = write
        self._alarm = alarm
        self._unclaimed = unclaimed
        self._drain = drain
        self.new_id = new_id or uuids().__next__
        self._frames = FrameBuffer()
        self._last_id = 0
        self.answered_through = 0.0  # loop time at which the request was sent that was answered last
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, Pending] = {}
        self._listeners: dict[str, Listener] = {}
        self._observers: tuple[Observer, ...] = ()
        self._notes: dict[tuple[str, Outcome], list[Note]] = {}  # where the observers want it
        self._arrived: list[tuple[str, str, Body]] = []  # notifications that are not handed over yet
        self._failure: Exception | None = None

    async def request(self, method: str, handler_id: str = "", body: Body | None = None) -> Body:
        """The answer's body, empty where the method has none.

        Raises RequestRefused or NotFound where the worker refuses, with its reason; WorkerGone where it is or gets
        closed; InvalidMessage where the body does not fit the method.
        """
        return await self.send(method, handler_id, body)

    def send(self, method: str, handler_id: str = "", body: Body | None = None) -> asyncio.Future[Body]:
        """As ``request``, on the wire when this returns: what is sent next comes next."""
        if self._failure:
            raise WorkerGone(f"{method}: {self._failure}") from self._failure
        answer: asyncio.Future[Body] = self._loop.create_future()
        self._send(method, handler_id, body, answer)
        return answer

    def request_all(self, requests: list[tuple[str, str]]) -> list[asyncio.Future[Body]]:
        """Many requests without bodies, (method, handler id) each, in one write; their answers' futures in order."""
        if self._failure:
            raise WorkerGone(str(self._failure)) from self._failure
        answers: list[asyncio.Future[Body]] = [self._loop.create_future() for _ in requests]
        opened = [self._open(method, answer) for (method, _), answer in zip(requests, answers, strict=True)]
        try:
            frames = [
                self._codec.request(request_id, method, handler_id)
                for request_id, (method, handler_id) in zip(opened, requests, strict=True)
            ]
            if frames:
                self._write(b"".join(frames))
        except BaseException:
            for request_id in opened:
                del self._pending[request_id]
            raise
        return answers

    def post(self, method: str, handler_id: str = "", body: Body | None = None) -> None:
        """A request whose answer nobody waits for, as for closing: a refusal says that it is gone already."""
        if not self._failure:
            self._send(method, handler_id, body, None)

    def notify(self, event: str, handler_id: str = "", body: Body | None = None) -> None:
        """Tell the worker something that has no answer."""
        if self._failure:
            raise WorkerGone(str(self._failure)) from self._failure
        self._write(self._codec.notification(event, handler_id, body))

    async def drain(self) -> None:
        """Wait until the worker has taken most of what was written. WorkerGone when it is or gets closed."""
        if self._failure is None and self._drain is not None:
            await self._drain()
        if self._failure:
            raise WorkerGone(str(self._failure)) from self._failure

    def listens(self, handler_id: str) -> bool:
        return handler_id in self._listeners

    def listen(self, handler_id: str, listener: Listener) -> None:
        self._listeners[handler_id] = listener

    def unlisten(self, handler_id: str) -> None:
        self._listeners.pop(handler_id, None)

    def observe(self, observer: Observer) -> None:
        """Have every answer noted, a posted request's, too. What notes it must be quick and raise nothing."""
        self._observers = (*self._observers, observer)
        self._notes.clear()

    @property
    def pending(self) -> int:
        return len(self._pending)

    @property
    def oldest_pending(self) -> tuple[int, str, float] | None:
        """(id, method, monotonic time at which it was sent) of the request that waits longest."""
        for request_id, (method, since, _) in self._pending.items():
            return request_id, method, since
        return None

    def give_up(self, request_id: int) -> None:
        """That request is not going to be answered: who waits for it gets NotAnswered."""
        method, _, answer = self._pending.pop(request_id)
        logger.error("%s was not answered, though a later request was", method)
        if answer is not None and not answer.done():
            answer.set_exception(NotAnswered(method))

    def feed(self, data: bytes) -> None:
        """Bytes from the worker. A notification is delivered one turn later, after whoever awaits an answer."""
        if self._failure:
            return  # what a worker says after its end answers nobody
        try:
            for frame in self._frames.feed(data):
                self._receive(self._codec.decode(frame))
        except InvalidMessage as error:
            self._alarm(error)
        self._hand_over()

    def fail(self, failure: Exception) -> None:
        """The worker is gone: everything that waits, and everything asked from now on, raises WorkerGone."""
        if self._failure:
            return
        self._failure = failure
        pending, self._pending = self._pending, {}
        for method, since, answer in pending.values():
            self._note(method, since, "gone")
            if answer is not None and not answer.done():
                gone = WorkerGone(f"{method}: {failure}")
                gone.__cause__ = failure
                answer.set_exception(gone)
        self._listeners.clear()

    def _send(self, method: str, handler_id: str, body: Body | None, answer: asyncio.Future[Body] | None) -> None:
        request_id = self._open(method, answer)
        try:
            self._write(self._codec.request(request_id, method, handler_id, body))
        except BaseException:
            del self._pending[request_id]
            raise

    def _open(self, method: str, answer: asyncio.Future[Body] | None) -> int:
        request_id = self._last_id % LAST_REQUEST_ID + 1
        while request_id in self._pending:
            request_id = request_id % LAST_REQUEST_ID + 1
        self._last_id = request_id
        self._pending[request_id] = (method, time.monotonic(), answer)
        return request_id

    def _receive(self, message: Body) -> None:
        data = message["data"]
        match message["data_type"]:
            case "Response":
                if self._arrived:
                    self._hand_over()
                self._answer(data)
            case "Notification":
                self._arrived.append((data["handler_id"], data["event"], data["body"] or {}))
            case "Log":
                text = data["data"]
                worker_logger.log(WORKER_LEVELS.get(text[:1], logging.INFO), "%s", text[1:])
            case other:
                raise InvalidMessage(f"the worker sent a {other}")

    def _answer(self, response: Body) -> None:
        pending = self._pending.pop(response["id"], None)
        if pending is None:
            logger.warning("an answer to request %s that nobody sent", response["id"])
            return
        method, since, answer = pending
        self.answered_through = since
        if self._observers:
            self._note(method, since, "accepted" if response["accepted"] else "refused")
        if answer is None:
            if not response["accepted"]:
                logger.debug("%s was not needed: %s", method, _reason(response))
        elif answer.done():
            pass  # who asked was cancelled meanwhile, and has seen to what it may have made
        elif response["accepted"]:
            answer.set_result(response["body"] or {})
        else:
            refusal = REFUSALS.get(response["error"], RequestRefused)
            answer.set_exception(refusal(method, _reason(response)))

    def _note(self, method: str, since: float, outcome: Outcome) -> None:
        notes = self._notes.get((method, outcome))
        if notes is None:
            asked = [observer(method, outcome) for observer in self._observers]
            notes = self._notes[method, outcome] = [note for note in asked if note is not None]
        seconds = time.monotonic() - since
        for note in notes:
            note(seconds)

    def _hand_over(self) -> None:
        """Have what was notified since the last answer delivered in the next turn, all at once."""
        if self._arrived:
            self._loop.call_soon(self._deliver_all, self._arrived)
            self._arrived = []

    def _deliver_all(self, notifications: list[tuple[str, str, Body]]) -> None:
        for notification in notifications:
            self._deliver(*notification)

    def _deliver(self, handler_id: str, event: str, body: Body) -> None:
        listener = self._listeners.get(handler_id, self._unclaimed)
        try:
            listener(event, body)
        except Exception:
            logger.exception("%s for %s was not digested", event, handler_id)


def _reason(refusal: Body) -> str:
    return str(refusal["reason"] or refusal["error"] or "no reason given")
