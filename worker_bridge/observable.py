"""What can be listened to: by callbacks, by ``async for`` over an event, or by waiting for one.

An object has one emitter. It carries what mediasoup for Node emits on the object and what it emits on the object's
``observer``, under the same names, each event once and with one value at most. Knows nothing of workers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, Protocol, Self

from worker_bridge.checks import INT32_MAX, integer, refuse, show
from worker_bridge.emitter import Emitter
from worker_bridge.event_names import AnyEvent

STREAM_LIMIT = 1024  # values; a reader further behind than this loses the oldest

Predicate = Callable[[Any], object]
Listener = Callable[..., Any]


class Events(Protocol[AnyEvent]):
    """What can be done with an object's emitter, which is pyee's: a coroutine function that listens is run as a task,
    and ``error`` tells of a listener's failure, which is logged otherwise."""

    def on(self, event: AnyEvent | Literal["error"], f: Listener) -> Listener:
        """Have ``f`` called with the value, each time."""

    def once(self, event: AnyEvent | Literal["error"], f: Listener) -> Listener:
        """Have ``f`` called the next time only."""

    def add_listener(self, event: AnyEvent | Literal["error"], f: Listener) -> Listener:
        """As ``on``."""

    def remove_listener(self, event: AnyEvent | Literal["error"], f: Listener) -> None:
        """Have ``f`` called no more."""

    def listeners(self, event: AnyEvent | Literal["error"]) -> list[Listener]:
        """Who listens to it."""

    def event_names(self) -> set[str]:
        """What is listened to."""


class Observable(Generic[AnyEvent]):
    """Something with events that ends, at the latest, with ``close``."""

    known_events: ClassVar[frozenset[str]]
    """Of all events that it tells."""

    _emitter: Emitter | None = None

    @property
    def events(self) -> Events[AnyEvent]:
        """Where to listen: ``events.on(name, callback)``. Made on first use: most objects are never listened to.

        Here and below, a name that is none of ``known_events`` raises InvalidParameters.
        """
        return self._listened_to()

    def events_of(self, name: AnyEvent, *, limit: int = STREAM_LIMIT) -> EventStream:
        """``async for value in obj.events_of("score")``: every value from now on, None for an event that has none.

        It ends when the object closes. ``limit`` is how many values wait for a slow reader. Raises ResourceClosed
        (a Worker: WorkerGone) where the object is closed already.
        """
        self._require_open()
        self._listened_to().require_known(name)
        integer("limit", limit, 1, INT32_MAX)
        return EventStream(self._listened_to(), name, limit)

    def wait_for(self, name: AnyEvent, predicate: Predicate | None = None) -> asyncio.Future[Any]:
        """``await obj.wait_for("icestatechange", lambda state: state == "connected")``: the next value that passes.

        It counts from this call on, awaited or not. Raises ResourceClosed (a Worker: WorkerGone) where the object
        closes first, and what the predicate raises; ``asyncio.timeout`` around it limits the time.
        """
        self._require_open()
        self._listened_to().require_known(name)
        if predicate is not None and not callable(predicate):
            refuse("predicate", f"{show(predicate)} can't be called")
        found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        listeners: dict[str, Listener] = {name: _checker(found, predicate)}
        if name != "close":
            listeners["close"] = lambda *_: _fail(found, self._closed_error())
        for event, listener in listeners.items():
            self._listened_to().on(event, listener)
        found.add_done_callback(lambda _: self._stop_listening(listeners))
        return found

    def _listened_to(self) -> Emitter:
        if self._emitter is None:
            self._emitter = Emitter(self.known_events)
        return self._emitter

    def _stop_listening(self, listeners: dict[str, Callable[..., None]]) -> None:
        for event, listener in listeners.items():
            if listener in self._listened_to().listeners(event):
                self._listened_to().remove_listener(event, listener)

    def _emit(self, event: str, *value: Any) -> None:
        if self._emitter is not None:
            self._emitter.emit(event, *value)

    def _require_open(self) -> None:
        raise NotImplementedError

    def _closed_error(self) -> Exception:
        raise NotImplementedError


class EventStream:
    """The values of one event, each for whoever asks first. A reader that is ``limit`` values behind loses the oldest;
    ``dropped`` counts them. ``close``, or nobody holding it any more, ends it."""

    def __init__(self, emitter: Emitter, name: str, limit: int) -> None:
        self._emitter = emitter
        self._inbox = inbox = _Inbox(limit)
        self._listeners: dict[str, Callable[..., None]] = {name: inbox.put}
        if name == "close":
            inbox.last = True
        else:
            self._listeners["close"] = inbox.end
        for event, listener in self._listeners.items():
            emitter.on(event, listener)

    @property
    def dropped(self) -> int:
        """How many values were lost to a reader that was too slow."""
        return self._inbox.dropped

    def close(self) -> None:
        """Listen no more; what has come already can still be read."""
        self._inbox.end()
        for event, listener in self._listeners.items():
            if listener in self._emitter.listeners(event):
                self._emitter.remove_listener(event, listener)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return await self._inbox.get()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class _Inbox:
    """What the emitter holds of a stream, so that a stream that nobody reads any more can go."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self.last = False  # whether the next value is the last
        self._values: deque[Any] = deque(maxlen=limit)
        self._ended = False
        self._arrived = asyncio.Event()

    def put(self, value: Any = None) -> None:
        self.dropped += len(self._values) == self._values.maxlen
        self._values.append(value)
        self._ended = self._ended or self.last
        self._arrived.set()

    def end(self, *_: object) -> None:
        self._ended = True
        self._arrived.set()

    async def get(self) -> Any:
        while not self._values:
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._values.popleft()


def _checker(found: asyncio.Future[Any], predicate: Predicate | None) -> Callable[..., None]:
    def check(value: Any = None) -> None:
        if found.done():
            return
        try:
            if predicate is None or predicate(value):
                found.set_result(value)
        except Exception as error:
            found.set_exception(error)

    return check


def _fail(found: asyncio.Future[Any], error: Exception) -> None:
    if not found.done():
        found.set_exception(error)
        found.exception()  # who does not wait any more need not be told
