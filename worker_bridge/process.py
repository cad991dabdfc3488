"""The worker as a process: spawned on descriptors 3 and 4, drained, watched by a pidfd, and never left behind.

The only file that knows of processes. What the bytes mean is the channel's business.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import resource
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from worker_bridge.environment import for_worker
from worker_bridge.errors import NativeError

WORKER_READS, WORKER_WRITES = 3, 4  # descriptors in the worker
FIRST_FREE = 10  # our ends are moved above the worker's, so that no dup2 lands on its own source
PIPE_BYTES = 1024 * 1024  # a burst of answers fits without stalling the worker's media thread
LINE_LIMIT = 4096  # bytes of one line of the worker's output that are logged
EXIT_GRACE_S = 2.0
DESCRIPTORS = 65_536
"""That a worker may have open, as far as the hard limit goes. Its ports take few, but each connection to its TCP port
takes one, also of somebody who never says a word. One address has 65,535 ports to connect from, so that it can't take
them all alone; the usual soft limit of 1,024 is gone with one small script."""

output_logger = logging.getLogger("worker_bridge.native_worker.output")


class WorkerProcess:
    """One running worker process and its two pipes."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self._pidfd = pidfd
        self._loop = asyncio.get_running_loop()
        self._exited: asyncio.Future[int] = self._loop.create_future()
        self._transports: list[asyncio.BaseTransport] = []
        self._to_worker: asyncio.WriteTransport | None = None
        self._unsent: list[bytes] = []
        self._sender = _Sender()
        self._loop.add_reader(pidfd, self._reap)

    @classmethod
    async def spawn(
        cls, binary: Path, arguments: Sequence[str], version: str, receive: Callable[[bytes], None]
    ) -> Self:
        """Start ``binary`` in a process group of its own; ``receive`` gets what it writes to its channel.

        Raises NativeError where it can't be executed.
        """
        with ExitStack() as theirs, ExitStack() as ours:
            try:
                reads, to_worker = _pipe(theirs, ours)
                from_worker, writes = _pipe(ours, theirs)
                out, says = _pipe(ours, theirs)
                err, complains = _pipe(ours, theirs)
                pid = _spawn([str(binary), *arguments], version, (says, complains, reads, writes))
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                raise NativeError(f"{binary} can't be started: {reason}") from error
            ours.pop_all()
        process = cls(pid, os.pidfd_open(pid))
        connecting = asyncio.ensure_future(process._connect(to_worker, from_worker, out, err, receive))
        try:
            await asyncio.shield(connecting)
        except BaseException:  # cancelled: nobody else could end it
            process.kill()
            await asyncio.wait([connecting])
            await process.stop()
            raise
        return process

    def write(self, frame: bytes) -> None:
        """Send a frame, behind those before it. All of one turn of the loop go in one system call: what the pipe costs
        is not its bytes but waking the worker."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frame)

    @property
    def pipe_broken(self) -> bool:
        """Whether nothing can be written any more."""
        return self._sender.lost

    async def drain(self) -> None:
        """Wait until the pipe has room again, or is broken."""
        self._flush()
        await self._sender.drain()

    def kill(self) -> None:
        """End it at once. Harmless when it has ended."""
        if not self._exited.done():
            with suppress(ProcessLookupError):  # it ended by itself a moment ago
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    @property
    def exit_code(self) -> int | None:
        """As of ``wait``, or None while it runs."""
        return self._exited.result() if self._exited.done() else None

    async def wait(self) -> int:
        """Its exit code, or the negative number of the signal that ended it."""
        return await asyncio.shield(self._exited)

    async def stop(self) -> int:
        """Close its channel, which ends it; kill it if it has not ended after a moment. Nothing stays open."""
        try:
            self._flush()
            if self._to_worker is not None:
                self._to_worker.close()
            with suppress(TimeoutError):  # a worker that does not hear is killed below
                async with asyncio.timeout(EXIT_GRACE_S):
                    return await self.wait()
        finally:
            self.kill()
            code = await self.wait()
            for transport in self._transports:
                transport.close()
        return code

    async def _connect(
        self, write_to: int, read_from: int, out: int, err: int, receive: Callable[[bytes], None]
    ) -> None:
        loop = self._loop
        self._to_worker, _ = await loop.connect_write_pipe(lambda: self._sender, os.fdopen(write_to, "wb", 0))
        self._transports.append(self._to_worker)
        for descriptor, protocol in (
            (read_from, _Receiver(receive)),
            (out, _OutputLogger(self.pid, logging.DEBUG)),
            (err, _OutputLogger(self.pid, logging.WARNING)),
        ):
            transport, _ = await loop.connect_read_pipe(lambda p=protocol: p, os.fdopen(descriptor, "rb", 0))  # type: ignore[misc]
            self._transports.append(transport)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if unsent and self._to_worker is not None and not self._to_worker.is_closing():
            self._to_worker.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        _, status = os.waitpid(self.pid, 0)  # does not block: the pidfd is readable
        os.close(self._pidfd)
        if not self._exited.done():
            self._exited.set_result(os.waitstatus_to_exitcode(status))


class _Sender(asyncio.BaseProtocol):
    """Knows whether the pipe to the worker has room."""

    def __init__(self) -> None:
        self.lost = False
        self._has_room = asyncio.Event()
        self._has_room.set()

    async def drain(self) -> None:
        await self._has_room.wait()

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        self._has_room.set()


class _Receiver(asyncio.Protocol):
    def __init__(self, receive: Callable[[bytes], None]) -> None:
        self._receive = receive

    def data_received(self, data: bytes) -> None:
        self._receive(data)


class _OutputLogger(asyncio.Protocol):
    """Logs a pipe line by line, so that it never fills: a worker that can't write its log stops its media."""

    def __init__(self, pid: int, level: int) -> None:
        self._pid = pid
        self._level = level
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest[:LINE_LIMIT]
        for line in lines:
            output_logger.log(self._level, "[pid:%d] %s", self._pid, line[:LINE_LIMIT].decode(errors="replace"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._rest:
            self.data_received(b"\n")


def _spawn(command: list[str], version: str, descriptors: tuple[int, int, int, int]) -> int:
    """A worker in a process group of its own, with its output, its errors and both ends of its channel."""
    places = zip(descriptors, (1, 2, WORKER_READS, WORKER_WRITES), strict=True)
    pid = os.posix_spawn(
        command[0],
        command,
        for_worker(version),
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            *((os.POSIX_SPAWN_DUP2, descriptor, place) for descriptor, place in places),
        ],
        setpgroup=0,
        setsigmask=[],
        setsigdef=signal.valid_signals(),  # Python ignores SIGPIPE, and a script's `&` has us ignore SIGINT
    )
    _raise_descriptors(pid)
    return pid


def _raise_descriptors(pid: int) -> None:
    """Of a process that has just been spawned: posix_spawn hands down our own limit, which may be meant for less."""
    with suppress(OSError):  # it has ended, or a sandbox forbids it: then it lives with what it has
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        ceiling = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
        if soft != resource.RLIM_INFINITY and soft < ceiling:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (ceiling, hard))


def _pipe(reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A pipe above the worker's descriptors and closed on exec; each end is closed by its own stack."""
    low = os.pipe()
    try:
        ends = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE) for end in low)
    finally:
        for end in low:
            os.close(end)
    for stack, end in zip((reader, writer), ends, strict=True):
        stack.callback(os.close, end)
    with suppress(OSError):  # an unprivileged user may be over its share of pipe memory: the default will do
        fcntl.fcntl(ends[0], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return ends[0], ends[1]
