"""Events with names and types: listeners of one name, and a stream of all. Knows nothing of what they mean."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Generic, TypeVar
from weakref import WeakSet

E = TypeVar("E")
Listener = Callable[[Any], object]
LISTENER_ENDS_WITHIN_S = 5.0


class Emitter(Generic[E]):
    """Tells each event to its listeners, in the order in which they came, and to every stream.

    A listener may be a coroutine function, which then runs as a task. What one raises goes to the event loop's
    exception handler, and the others are called all the same.
    """

    def __init__(self) -> None:
        self._listeners: dict[str, list[Listener]] = {}
        self._streams: WeakSet[Stream[E]] = WeakSet()  # a stream that nobody reads any more is forgotten
        self._running: set[asyncio.Task[Any]] = set()

    def add(self, name: str, listener: Listener) -> Callable[[], None]:
        """Add a listener. Returns the function that removes it."""
        self._listeners.setdefault(name, []).append(listener)

        def remove() -> None:
            if listener in self._listeners.get(name, ()):
                self._listeners[name].remove(listener)

        return remove

    def tell(self, name: str, event: E) -> None:
        for listener in tuple(self._listeners.get(name, ())):
            try:
                result = listener(event)
            except Exception as error:
                _report(error, name)
            else:
                if isinstance(result, Coroutine):
                    self._start(result, name)
        for stream in tuple(self._streams):
            stream.put(event)

    def stream(self) -> AsyncIterator[E]:
        """Every event from now on, until `close`."""
        stream = Stream[E]()
        self._streams.add(stream)
        return stream

    def close(self) -> None:
        """Streams end once all their events are read. Listeners are called no more."""
        for stream in tuple(self._streams):
            stream.end()

    async def quiet(self) -> None:
        """Wait until no listener's coroutine runs; what takes longer than a few seconds is cancelled."""
        running = self._running - {asyncio.current_task()}
        if not running:
            return
        _, late = await asyncio.wait(running, timeout=LISTENER_ENDS_WITHIN_S)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)

    def _start(self, work: Coroutine[Any, Any, object], name: str) -> None:
        task = asyncio.create_task(work, name=f"listener of {name}")
        self._running.add(task)
        task.add_done_callback(lambda done: self._ended(done, name))

    def _ended(self, task: asyncio.Task[Any], name: str) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _report(error, name)


class Stream(AsyncIterator[E]):
    """Events in their order, each once."""

    def __init__(self) -> None:
        self._events: deque[E] = deque()
        self._changed = asyncio.Event()
        self._ended = False

    def put(self, event: E) -> None:
        self._events.append(event)
        self._changed.set()

    def end(self) -> None:
        self._ended = True
        self._changed.set()

    async def __anext__(self) -> E:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._events.popleft()


def _report(error: BaseException, name: str) -> None:
    context = {"message": f"a listener of {name!r} failed", "exception": error}
    asyncio.get_running_loop().call_exception_handler(context)
