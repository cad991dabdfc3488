"""A native worker: process, channel and watch together. Makes routers and WebRTC servers.

A request that is not answered is a verdict on the whole worker: it is killed, since a late yes would leave an object
that nobody owns. Everything on it closes with WORKER_DIED.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Literal, Self

from worker_bridge import ortc
from worker_bridge.channel import Body, Channel
from worker_bridge.codec import MessageCodec
from worker_bridge.connectivity import ListenInfo
from worker_bridge.emitter import Emitter
from worker_bridge.errors import NativeError, WorkerGone
from worker_bridge.native import NativeWorker
from worker_bridge.process import WorkerProcess
from worker_bridge.resource import CloseReason, Resource, new_id
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCodecCapability
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.wire import listen_info_to_wire

LogLevel = Literal["debug", "warn", "error", "none"]

START_TIMEOUT_S = 10.0
HEARTBEAT_S = 0.5  # how often an idle worker is asked for a sign of life
HANG_AFTER_S = 3.0  # an answer that takes longer is not coming: noticed within 5 s in all
WRONG_SETTINGS = 42  # the worker's exit code for arguments that it refuses

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is started with. ``hang_after_s`` is how long an answer may take."""

    log_level: LogLevel = "warn"
    log_tags: tuple[str, ...] = ()
    hang_after_s: float = HANG_AFTER_S
    heartbeat_s: float = HEARTBEAT_S

    def arguments(self) -> list[str]:
        return [f"--logLevel={self.log_level}", *(f"--logTag={tag}" for tag in self.log_tags)]


class _Root(Resource):
    """The worker as the owner of all that is in it."""

    kind = "worker"


class Worker:
    """One running worker. Events: ``died(failure)`` when it ends without having been asked to, ``close()`` always."""

    def __init__(self, codec: MessageCodec, settings: WorkerSettings) -> None:
        self.events = Emitter()
        self.resource_usage: Body = {}
        self.started_at = time.monotonic()
        self.failure: Exception | None = None
        self._settings = settings
        self._channel = Channel(codec, self._write, self._alarm, self._notified)
        self._root = _Root("", self._channel, "")
        self._process: WorkerProcess | None = None
        self._running = asyncio.Event()
        self._gone = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Worker {self.pid} {'gone' if self.closed else 'running'}>"

    @classmethod
    @asynccontextmanager
    async def running(cls, native: NativeWorker, settings: WorkerSettings | None = None) -> AsyncIterator[Self]:
        """A worker that is up, and that is gone when the block ends. Raises NativeError if it does not start."""
        worker = cls(MessageCodec(native.schema.read_bytes()), settings or WorkerSettings())
        arguments = worker._settings.arguments()
        worker._process = await WorkerProcess.spawn(native.binary, arguments, native.version, worker._channel.feed)
        try:
            await worker._start(worker._process)
            yield worker
        finally:
            await worker.close()

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def closed(self) -> bool:
        return self._gone.is_set()

    @property
    def load(self) -> int:
        """How many routers and servers it carries."""
        return len(self._root._children)

    @property
    def channel(self) -> Channel:
        """For pipelined requests over many objects, such as counting packets."""
        return self._channel

    async def wait_gone(self) -> Exception | None:
        """Returns when the worker is no more: with why if it failed, None if it was closed."""
        await self._gone.wait()
        return self.failure

    async def close(self) -> None:
        """End the process and close everything on it. Returns when nothing of it is left."""
        if not self.closed:
            self._channel.notify("WORKER_CLOSE")
        self._end(None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._process is not None:
            code = await self._process.stop()
            logger.debug("worker %d ended with %d", self.pid, code)

    async def create_webrtc_server(self, listen_infos: Sequence[ListenInfo]) -> WebRtcServer:
        """One port for all WebRTC transports. RequestRefused if it can't be bound."""
        server = WebRtcServer(new_id(), self._channel)
        body = {"web_rtc_server_id": server.id, "listen_infos": [listen_info_to_wire(info) for info in listen_infos]}
        await self._create(server, "WORKER_CREATE_WEBRTCSERVER", body)
        return server

    async def create_router(self, media_codecs: Sequence[RtpCodecCapability]) -> Router:
        """A router for these codecs. Unsupported or InvalidParameters if the worker has no such codec."""
        router = Router(new_id(), self._channel, ortc.router_capabilities(tuple(media_codecs)))
        await self._create(router, "WORKER_CREATE_ROUTER", {"router_id": router.id})
        return router

    async def dump(self) -> Body:
        return await self._channel.request("WORKER_DUMP")

    async def get_resource_usage(self) -> Body:
        """``getrusage(2)`` of the process: times in milliseconds, ``ru_maxrss`` in KiB."""
        return await self._channel.request("WORKER_GET_RESOURCE_USAGE")

    async def update_settings(self, log_level: LogLevel, log_tags: Sequence[str]) -> None:
        """Both are set: leaving out the tags would silence them all."""
        body = {"log_level": log_level, "log_tags": list(log_tags)}
        await self._channel.request("WORKER_UPDATE_SETTINGS", "", body)

    async def _create(self, child: Resource, method: str, body: Body) -> None:
        if self.closed:
            raise WorkerGone(f"{method}: {self.failure or 'the worker is closed'}")
        await self._root._create(child, method, body)

    async def _start(self, process: WorkerProcess) -> None:
        self._tasks.append(asyncio.create_task(self._watch_exit(process), name=f"worker {self.pid} exit"))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._running.wait()
        except TimeoutError:
            raise NativeError(f"worker {self.pid} was not ready after {START_TIMEOUT_S:.0f} s") from None
        if self.failure is not None:
            raise NativeError(f"it ended before it was ready: {self.failure}") from self.failure
        self._tasks.append(asyncio.create_task(self._watch_answers(), name=f"worker {self.pid} heartbeat"))

    def _notified(self, event: str, _: Body) -> None:
        """WORKER_RUNNING counts under whatever handler id: in a pid namespace the worker knows another pid than we."""
        if event == "WORKER_RUNNING":
            self._running.set()

    def _write(self, frame: bytes) -> None:
        if self._process is not None:
            self._process.write(frame)

    async def _watch_exit(self, process: WorkerProcess) -> None:
        code = await process.wait()
        cause = "wrong settings" if code == WRONG_SETTINGS else f"signal {-code}" if code < 0 else f"exit code {code}"
        self._end(WorkerGone(f"worker {self.pid} died ({cause})"))

    async def _watch_answers(self) -> None:
        """Asks for a sign of life, and gives up on a worker that owes one answer at two looks in a row: had only our
        own loop been late, the answer would have been read between the two."""
        overdue = 0
        asked: asyncio.Future[Body] | None = None
        while True:
            if asked is None or asked.done():
                asked = asyncio.ensure_future(self.get_resource_usage())
                asked.add_done_callback(self._note_usage)
            await asyncio.sleep(self._settings.heartbeat_s)
            oldest = self._channel.oldest_pending
            now = time.monotonic()
            if oldest is None or now - oldest[2] < self._settings.hang_after_s:
                overdue = 0
            elif overdue != oldest[0]:
                overdue = oldest[0]
            else:
                waited = f"no answer to {oldest[1]} for {now - oldest[2]:.1f} s"
                self._alarm(WorkerGone(f"worker {self.pid} hangs: {waited}"))

    def _note_usage(self, answer: asyncio.Future[Body]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self.resource_usage = answer.result()

    def _alarm(self, failure: Exception) -> None:
        """The worker can't be trusted any more: it is killed, and everything on it closes now."""
        logger.error("worker %d is killed", self.pid)
        if self._process is not None:
            self._process.kill()
        self._end(failure)

    def _end(self, failure: Exception | None) -> None:
        if self._gone.is_set():
            return
        self._gone.set()
        self._running.set()
        self.failure = failure
        self._channel.fail(failure or WorkerGone(f"worker {self.pid} was closed"))
        self._root._close(CloseReason.WORKER_DIED)
        if failure is not None:
            logger.error("%s", failure)
            self.events.emit("died", failure)
        self.events.emit("close")
