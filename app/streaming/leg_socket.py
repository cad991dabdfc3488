"""One leg's WebSocket: a bounded queue of frames and the task that sends them, connecting again and again. Runs in the
process that decodes.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass

import aiohttp
from msgspec import structs

from app.streaming.orders import Configuration, LegOpened, Report
from schemas.base import encode
from schemas.streaming import StreamEnd, StreamGap, StreamStart
from schemas.types import iso

QUEUE_FRAMES = 250  # 5 s: a receiver that is further behind loses what is oldest
FRAME_MS = 20
CONNECT_WITHIN_S = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0
HEARTBEAT_S = 15.0
END_WITHIN_S = 5.0  # what is queued when the leg is over has so long
MAX_MESSAGE = 64 * 1024  # of what a receiver says, which nobody looks at


@dataclass(slots=True)
class Counts:
    """Since the last report."""

    connected: int = 0
    sent: int = 0
    dropped: int = 0
    opened: int = 0
    failed: int = 0
    trouble: str | None = None

    def take(self) -> Report:
        taken = Report(self.connected, self.sent, self.dropped, self.opened, self.failed, self.trouble)
        self.sent = self.dropped = self.opened = self.failed = 0
        self.trouble = None
        return taken


class LegSocket:
    """``put`` and ``end`` never wait."""

    def __init__(
        self, leg: LegOpened, configuration: Configuration, session: aiohttp.ClientSession, counts: Counts
    ) -> None:
        self._leg = leg
        self._configuration = configuration
        self._session = session
        self._counts = counts
        self._queue: deque[bytes] = deque()
        self._taken = 0  # frames that were taken off the queue, dropped ones included
        self._gap = 0  # frames that were dropped, and not told yet
        self._changed = asyncio.Event()
        self._end: str | None = None
        self._connections = 0

    def put(self, frame: bytes) -> None:
        if len(self._queue) >= QUEUE_FRAMES:
            self._queue.popleft()
            self._taken += 1
            self._gap += 1
            self._counts.dropped += 1
        self._queue.append(frame)
        self._changed.set()

    def end(self, reason: str) -> None:
        self._end = reason
        self._changed.set()

    async def run(self) -> None:
        """Until the leg is over, and what is queued is sent or too late."""
        wait_s = FIRST_WAIT_S
        while self._end is None or self._queue:
            opened = self._counts.opened
            if await self._try():
                return
            if self._end is not None:  # there is no time to try again
                break
            wait_s = FIRST_WAIT_S if self._counts.opened > opened else min(2 * wait_s, LONGEST_WAIT_S)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 -- so that not all come at once
        self._counts.dropped += len(self._queue)

    async def _try(self) -> bool:
        """Returns whether the leg is over, and all of it sent."""
        try:
            async with asyncio.timeout(None) as limit:
                await self._connected(limit)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._counts.failed += 1
            self._counts.trouble = f"{type(error).__name__}: {error}"[:200]
            return False
        return True

    async def _connected(self, limit: asyncio.Timeout) -> None:
        """Connect, and send until the leg is over. Raises what says that the connection could not be made or broke."""
        headers = {} if self._configuration.token is None else {"Authorization": f"Bearer {self._configuration.token}"}
        connecting = self._session.ws_connect(
            self._configuration.url, headers=headers, heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE
        )
        async with asyncio.timeout(CONNECT_WITHIN_S):
            socket = await connecting
        self._counts.connected += 1
        self._counts.opened += 1
        self._connections += 1
        listening = asyncio.create_task(self._listen(socket), name="what the receiver says")
        try:
            await self._send_all(socket, limit)
        finally:
            self._counts.connected -= 1
            listening.cancel()
            await socket.close()

    async def _send_all(self, socket: aiohttp.ClientWebSocketResponse, limit: asyncio.Timeout) -> None:
        self._gap = 0
        await socket.send_str(encode(self._start()).decode())
        while True:
            if socket.closed:
                raise ConnectionResetError(f"closed by the receiver ({socket.close_code})")
            if self._end is not None and limit.when() is None:
                limit.reschedule(asyncio.get_running_loop().time() + END_WITHIN_S)
            if self._gap:
                gap, self._gap = self._gap, 0
                await socket.send_str(encode(StreamGap(frames=gap)).decode())
            if self._queue:
                frame = self._queue.popleft()
                self._taken += 1
                await socket.send_bytes(frame)
                self._counts.sent += 1
            elif self._end is not None:
                await socket.send_str(encode(StreamEnd(reason=self._end)).decode())
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    def _start(self) -> StreamStart:
        about = {name: value for name, value in structs.asdict(self._leg).items() if name != "at_ms"}
        at_ms = self._leg.at_ms + FRAME_MS * self._taken
        return StreamStart(**about, connection=self._connections, at=iso(at_ms))

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Pings are answered, and a close is noticed, while somebody reads."""
        async for _ in socket:
            pass
        self._changed.set()
