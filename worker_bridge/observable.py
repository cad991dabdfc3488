"""What can be listened to: by callbacks, by ``async for`` over an event, or by waiting for one.

An object has one emitter. It carries what mediasoup for Node emits on the object and what it emits on the object's
``observer``, under the same names, each event once and with one value at most. Knows nothing of workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, Generic, Literal, Protocol

from worker_bridge.checks import INT32_MAX, integer, refuse, show
from worker_bridge.emitter import Emitter
from worker_bridge.event_names import AnyEvent
from worker_bridge.event_stream import EventStream

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

    def _stream_of(self, name: str, limit: int) -> EventStream[Any]:
        self._require_open()
        self._listened_to().require_known(name)
        integer("limit", limit, 1, INT32_MAX)
        return EventStream(self._listened_to(), name, limit)

    def _next_of(self, name: str, predicate: Predicate | None) -> asyncio.Future[Any]:
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
