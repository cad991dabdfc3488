"""An event's values as they come, for ``async for``. Knows no more of who tells them than the emitter and the name."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar

from worker_bridge.emitter import Emitter

STREAM_LIMIT = 1024  # values; a reader further behind than this loses the oldest

V = TypeVar("V")


class EventStream(Generic[V]):
    """The values of one event, each for whoever asks first. A reader that is ``limit`` values behind loses the oldest;
    ``dropped`` counts them. ``close``, or nobody holding it any more, ends it."""

    def __init__(self, emitter: Emitter, name: str, limit: int) -> None:
        self._emitter = emitter
        self._inbox: _Inbox[V] = _Inbox(limit)
        inbox = self._inbox
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

    async def __anext__(self) -> V:
        return await self._inbox.get()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


class _Inbox(Generic[V]):
    """What the emitter holds of a stream, so that a stream that nobody reads any more can go."""

    def __init__(self, limit: int) -> None:
        self.dropped = 0
        self.last = False  # whether the next value is the last
        self._values: deque[V] = deque(maxlen=limit)
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

    async def get(self) -> V:
        while not self._values:
            if self._ended:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._values.popleft()
