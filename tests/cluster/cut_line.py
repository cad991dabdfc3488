"""The network between a node and one that it talks to: a TCP proxy that can stop forwarding and keeps the sockets open,
as a cable that is pulled does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager
from typing import Literal

AT_ONCE = 65_536

Moment = Literal["drawing", "commit"]
Watch = Callable[[bytes], Set[Moment]]
"""Told what a client is about to send on one connection; answers what that is."""


class CutLine:
    """Made by :meth:`to`. ``port`` on 127.0.0.1 is where it is had; ``was_cut`` is set once it is cut."""

    def __init__(self, far_port: int, watch: Callable[[], Watch]) -> None:
        self.port = 0
        self.was_cut = asyncio.Event()
        self.cut_before: Moment | None = None
        self.cut_after: Moment | None = None
        self._far_port = far_port
        self._watch = watch
        self._whole, self._answers_whole = asyncio.Event(), asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, far_port: int, watch: Callable[[], Watch] | None = None) -> AsyncIterator[CutLine]:
        """A line to that port on 127.0.0.1, whole, until the block is left."""
        line = cls(far_port, watch or (lambda: lambda _: frozenset()))
        line.mend()
        server = await asyncio.start_server(line._serve, "127.0.0.1", 0)
        line.port = server.sockets[0].getsockname()[1]
        try:
            yield line
        finally:
            server.close()
            for connection in tuple(line._connections):
                connection.cancel()
            await asyncio.gather(*line._connections, return_exceptions=True)
            await server.wait_closed()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def cut(self, *, answers_only: bool = False) -> None:
        """Let nothing through any more: in both directions, or only back to the client."""
        self.cut_before = self.cut_after = None
        self._answers_whole.clear()
        if not answers_only:
            self._whole.clear()
        self.was_cut.set()

    def mend(self) -> None:
        """What waited is let through."""
        self._whole.set()
        self._answers_whole.set()
        self.was_cut.clear()

    def lead_to(self, far_port: int) -> None:
        """From now on lead to another port; who is connected has to connect again."""
        self._far_port = far_port
        for connection in tuple(self._connections):
            connection.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None
        self._connections.add(connection)
        try:
            await self._connect(reader, writer)
        except OSError:
            pass  # one end is gone
        finally:
            writer.close()
            self._connections.discard(connection)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._far_port)
        ways = [
            asyncio.create_task(self._send(reader, far_writer, self._watch())),
            asyncio.create_task(self._answer(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            far_writer.close()

    async def _send(self, reader: asyncio.StreamReader, far: asyncio.StreamWriter, watch: Watch) -> None:
        while sent := await reader.read(AT_ONCE):
            moments = watch(sent)
            if self.cut_before in moments:
                self.cut()
            await self._whole.wait()
            far.write(sent)
            if self.cut_after in moments:
                self.cut()
            await far.drain()

    async def _answer(self, far: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while answer := await far.read(AT_ONCE):
            await self._answers_whole.wait()
            writer.write(answer)
            await writer.drain()


class Statements:
    """What asyncpg sends to PostgreSQL: that it draws numbers of events, and that it commits what had some drawn."""

    PREPARED = re.compile(rb"(__asyncpg_\w+__)\x00UPDATE event_counter")

    def __init__(self) -> None:
        self._drawing: set[bytes] = set()  # names of prepared statements
        self._has_drawn = False

    def __call__(self, sent: bytes) -> Set[Moment]:
        moments: set[Moment] = set()
        self._drawing.update(self.PREPARED.findall(sent))
        if b"UPDATE event_counter" in sent or any(b"\x00" + name + b"\x00" in sent for name in self._drawing):
            self._has_drawn = True
            moments.add("drawing")
        if self._has_drawn and b"COMMIT;" in sent:
            self._has_drawn = False
            moments.add("commit")
        return moments
