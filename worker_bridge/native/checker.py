"""Starts a worker once, to see that it is one, of our release, and at work. Blocking; for the command line and builds.

The bridge's own way to run workers is another (``worker_bridge.process``): this one needs no event loop.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from worker_bridge.codec import FRAME_LIMIT, MessageCodec
from worker_bridge.environment import for_worker
from worker_bridge.errors import InvalidMessage, NativeError, VersionMismatch
from worker_bridge.native.cache import REBUILD_COMMAND, NativeWorker, Origin, remedy
from worker_bridge.native.libraries import openssl_version
from worker_bridge.native.probe import probe_frames, verify
from worker_bridge.native.tools import last_words

TIMEOUT: Final = 10.0  # seconds, for each answer
DUMP_ID: Final = 1  # a request id below the probe's, which are numbers of methods that handlers answer
PREFIX: Final = struct.Struct("<I")  # a frame's length without itself

Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a worker that was started once said. ``milliseconds``: from its start to its answer to a dump.
    ``openssl``: the release that is linked into it; None where it takes the system's, as a shared library."""

    pid: int
    version: str
    path: Path
    origin: Origin
    milliseconds: float
    openssl: str | None


def check(worker: NativeWorker) -> CheckReport:
    """Starts the worker, asks for a dump, and proves that binary and schema are of one release. Ends it again.

    Raises ``NativeError`` if it does not start or answer, ``VersionMismatch`` if it is of another release.
    """
    try:
        codec = MessageCodec(worker.schema.read_bytes())
    except (OSError, InvalidMessage) as error:
        raise NativeError(f"the schema {worker.schema} is no use ({error}): run {REBUILD_COMMAND}") from None
    started = time.perf_counter()
    with _running(worker) as pipe:
        pipe.expect(codec, _is_running)
        pipe.write(codec.request(DUMP_ID, "WORKER_DUMP", ""))
        dump = pipe.expect(codec, _is_response)
        milliseconds = (time.perf_counter() - started) * 1000
        if not dump["accepted"]:
            raise pipe.failure(f"refuses a dump ({dump['reason']})")
        _probe(pipe, codec)
        pipe.write(codec.notification("WORKER_CLOSE", ""))
        openssl = openssl_version(worker.binary)
        return CheckReport(pipe.pid, worker.version, worker.binary, worker.origin, milliseconds, openssl)


def _is_running(message: Message) -> bool:
    kind: str = message["data_type"]
    event: object = message["data"].get("event")
    return kind == "Notification" and event == "WORKER_RUNNING"


def _is_response(message: Message) -> bool:
    kind: str = message["data_type"]
    return kind == "Response"


def _probe(pipe: _Pipe, codec: MessageCodec) -> None:
    frames = probe_frames(codec)
    try:
        pipe.write(b"".join(frames))
        answers = [pipe.expect(codec, _is_response) for _ in frames]
    except NativeError as error:  # it died of a request that means something else to it
        raise VersionMismatch(f"the worker is of another release than the schema: {error}") from None
    verify(codec, answers)


@contextmanager
def _running(worker: NativeWorker) -> Iterator[_Pipe]:
    """A worker process with its descriptors 3 and 4, which is ended and reaped on the way out."""
    with tempfile.TemporaryFile() as log, ExitStack() as reaping, ExitStack() as ours:
        with ExitStack() as theirs:  # must not stay open here: we would never see the end of what the worker writes
            child_in, outgoing = _pipe(reader=theirs, writer=ours)
            incoming, child_out = _pipe(reader=ours, writer=theirs)
            pid = _spawn(worker, child_in, child_out, log.fileno())
            reaping.callback(_end, pid)
        yield _Pipe(pid, worker, incoming, outgoing, log)


def _pipe(*, reader: ExitStack, writer: ExitStack) -> tuple[int, int]:
    """A pipe, each end closed by its own stack. Both lie above 4: placing one on 3 or 4 can't overwrite the other."""
    ends = os.pipe()
    try:
        moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    finally:
        for end in ends:
            os.close(end)
    reader.callback(os.close, moved[0])
    writer.callback(os.close, moved[1])
    return moved[0], moved[1]


def _spawn(worker: NativeWorker, child_in: int, child_out: int, log: int) -> int:
    try:
        return os.posix_spawn(
            worker.binary,
            [str(worker.binary), "--logLevel=none"],
            for_worker(worker.version),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
                (os.POSIX_SPAWN_DUP2, child_in, 3),
                (os.POSIX_SPAWN_DUP2, child_out, 4),
            ],
            setpgroup=0,  # a Ctrl-C at the terminal is ours to deal with
            setsigmask=[],
            setsigdef=signal.valid_signals(),
        )
    except OSError as error:
        raise NativeError(f"{worker.binary} can't be started ({error.strerror}): {remedy(worker)}") from None


def _end(pid: int) -> None:
    """Reaps a worker, which ends by itself once its pipes are closed, or is killed after a second."""
    handle = os.pidfd_open(pid)
    try:
        if not select.select([handle], [], [], 1)[0]:
            os.kill(pid, 9)
        os.waitpid(pid, 0)
    finally:
        os.close(handle)


class _Pipe:
    """Our ends of a worker's pipes, with a time limit on every wait."""

    def __init__(self, pid: int, worker: NativeWorker, incoming: int, outgoing: int, log: IO[bytes]) -> None:
        self.pid = pid
        self._worker = worker
        self._in = incoming
        self._out = outgoing
        self._log = log

    def write(self, frames: bytes) -> None:
        try:
            os.write(self._out, frames)  # a few KiB: a pipe takes them whole
        except BrokenPipeError:
            raise self.failure("ended") from None

    def expect(self, codec: MessageCodec, wanted: Callable[[Message], bool]) -> Message:
        """The data of the next message that is wanted; others are dropped."""
        deadline = time.monotonic() + TIMEOUT
        while True:
            (size,) = PREFIX.unpack(prefix := self._read(PREFIX.size, deadline))
            if size > FRAME_LIMIT:
                raise self.failure("writes garbage")
            try:
                message = codec.decode(prefix + self._read(size, deadline))
            except InvalidMessage as error:
                raise self.failure(f"writes garbage ({error})") from None
            if wanted(message):
                data: Message = message["data"]
                return data

    def _read(self, size: int, deadline: float) -> bytes:
        chunks = b""
        while len(chunks) < size:
            if not select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise self.failure(f"said nothing for {TIMEOUT:g} s")
            chunk = os.read(self._in, size - len(chunks))
            if not chunk:
                raise self.failure("ended")
            chunks += chunk
        return chunks

    def failure(self, what: str) -> NativeError:
        """What to raise: what the worker did, its last words, and what to do about it."""
        self._log.seek(0)
        said = last_words(self._log.read().decode(errors="replace"))
        what = f"{what}, saying {said!r}" if said else what
        return NativeError(f"{self._worker.binary} {what}: {remedy(self._worker)}")
