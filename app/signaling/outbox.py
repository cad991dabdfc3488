"""One WebSocket's outgoing side: a bounded queue, and the body of its writer task. Knows no users and no events.

Putting a frame in never waits. Where the queue is full it says so, and its owner closes the socket.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from aiohttp import WSMsgType, web

ANSWERS_AHEAD = 16  # frames that may wait before the next message is read from the client


class Frame(NamedTuple):
    """A WebSocket frame to be sent. ``seq`` is that of an event, 0 for all else. One that is ``free`` counts as no
    bytes: a client does not fall behind by it."""

    message: bytes
    opcode: WSMsgType = WSMsgType.TEXT
    seq: int = 0
    free: bool = False

    @property
    def size(self) -> int:
        """In bytes, as it counts."""
        return 0 if self.free else len(self.message)


class Backlog:
    """Frames in their order, up to a number of them and a number of bytes."""

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    def add(self, frame: Frame) -> bool:
        """Add a frame. Returns False, and adds nothing, where a limit would be exceeded; a single frame always fits."""
        size = self._bytes + frame.size
        if self._frames and (len(self._frames) >= self._max_frames or size > self._max_bytes):
            return False
        self._frames.append(frame)
        self._bytes = size
        return True

    def take(self) -> Frame:
        frame = self._frames.popleft()
        self._bytes -= frame.size
        return frame

    def clear(self) -> None:
        self._frames.clear()
        self._bytes = 0


class Outbox:
    """The frames that wait to be written to one socket, the last of which is the Close frame."""

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._backlog = Backlog(max_frames, max_bytes)
        self._close_code: int | None = None
        self._changed = asyncio.Event()  # something to write, or the end
        self._empty = asyncio.Event()
        self._empty.set()

    def __len__(self) -> int:
        """How many frames wait."""
        return len(self._backlog)

    def put(self, frame: Frame) -> bool:
        """Add a frame. Returns False where the client is too far behind. After :meth:`close`, frames are dropped."""
        if self._close_code is not None:
            return True
        if not self._backlog.add(frame):
            return False
        self._empty.clear()
        self._changed.set()
        return True

    def close(self, code: int, *, discard: bool = False) -> None:
        """Write what waits, or ``discard`` it, then a Close frame with ``code``. Only the first call counts."""
        if self._close_code is None:
            self._close_code = code
            if discard:
                self._backlog.clear()
            self._changed.set()

    async def room(self) -> None:
        """Wait until there is room for another answer, so that a client that sends without reading holds up only
        itself."""
        if len(self._backlog) > ANSWERS_AHEAD:
            await self._empty.wait()

    async def write_to(self, socket: web.WebSocketResponse) -> None:
        """Write until the Close frame is out or the connection is gone: all that the writer task does."""
        try:
            while (frame := await self._next()) is not None:
                await socket.send_frame(frame.message, frame.opcode)
            await socket.send_frame(struct.pack("!H", self._close_code), WSMsgType.CLOSE)
        except ConnectionError:  # the client went away: whoever reads from the socket learns the same
            pass
        finally:
            self.close(0, discard=True)
            self._backlog.clear()
            self._empty.set()

    async def _next(self) -> Frame | None:
        """The frame to write now, or None at the end."""
        while not self._backlog:
            self._empty.set()
            if self._close_code is not None:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._backlog.take()
