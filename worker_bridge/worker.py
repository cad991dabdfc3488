"""A native worker: process, channel and watch together. Makes routers and WebRTC servers.

A request that is not answered is a verdict on the whole worker: it is killed, since a late yes would leave an object
that nobody owns. Everything on it closes with WORKER_DIED.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import lru_cache
from typing import Self, cast

from worker_bridge import ortc
from worker_bridge.channel import Body, Channel
from worker_bridge.checks import instance, items
from worker_bridge.codec import MessageCodec
from worker_bridge.connectivity import ListenInfo
from worker_bridge.connectivity_fbs import listen_info_to_fbs
from worker_bridge.dump_shapes import ResourceUsage, WorkerDump
from worker_bridge.emitter import Emitter
from worker_bridge.errors import NativeError, WorkerGone, WrongSettings
from worker_bridge.event_names import BridgeEvent, WorkerEvent, names_of
from worker_bridge.event_values import Listenable
from worker_bridge.native import NativeWorker, locate
from worker_bridge.observable import Events
from worker_bridge.process import WorkerProcess
from worker_bridge.resource import CASCADE, AppData, CloseReason, Resource
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCodecCapability
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.worker_settings import LogLevel, WorkerSettings

START_TIMEOUT_S = 10.0
QUESTIONS = ("_DUMP", "_GET_STATS", "_REQUEST_KEY_FRAME")
"""How the names of methods end that change nothing. The worker leaves some of them unanswered, which harms nobody: an
answer of over 8 MiB is not sent, and a key frame request for piped audio is not acknowledged."""
WRONG_SETTINGS = 42  # the worker's exit code for arguments that it refuses

logger = logging.getLogger(__name__)

_observer = Emitter(names_of(BridgeEvent))
observer: Events[BridgeEvent] = _observer
"""``newworker(worker)``, for each worker of this process once it is up. The one thing of the bridge that is global."""


class _Root(Resource):
    """The worker as the owner of all that is in it."""

    resource_kind = "worker"

    @property
    def load(self) -> int:
        """How many routers and servers there are."""
        return len(self._children)

    def count_objects(self) -> Counter[str]:
        """How many objects of each kind there are."""
        found: Counter[str] = Counter()
        self._count_objects(found)
        return found

    async def create(self, child: Resource, method: str, body: Body, app_data: AppData | None) -> None:
        """Ask the worker for ``child``."""
        await self._create(child, method, body, app_data=app_data)

    def end(self) -> None:
        """Everything is gone with the process."""
        self._close(CloseReason.WORKER_DIED)

    def _owned(self) -> list[Resource]:
        """Routers first: a transport that is closed by both hears of its router."""
        return sorted(super()._owned(), key=lambda child: CASCADE["worker"].closes.index(child.resource_kind))


class Worker(Listenable[WorkerEvent]):
    """One running worker.

    Events: ``newrouter(router)``, ``newwebrtcserver(server)``, ``died(failure)`` when it ends without having been asked
    to, ``close()`` when it is of no use any more, ``subprocessclose()`` when its process has ended, too.
    """

    known_events = names_of(WorkerEvent)

    def __init__(self, codec: MessageCodec, settings: WorkerSettings) -> None:
        self.app_data: AppData = {}
        self.resource_usage: ResourceUsage = {}  # of the last heartbeat, and when that was in monotonic seconds
        self.usage_at = 0.0
        self.started_at = time.monotonic()
        self.failure: Exception | None = None
        self.subprocess_closed = False
        self._settings = settings
        self._channel = Channel(codec, self._write, self._alarm, self._notified, self._drain, settings.new_id)
        self._root = _Root("", self._channel, "")
        self._process: WorkerProcess | None = None
        self._running = asyncio.Event()
        self._gone = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Worker {self.pid} {'gone' if self.closed else 'running'}>"

    @classmethod
    async def start(
        cls,
        native: NativeWorker | None = None,
        settings: WorkerSettings | None = None,
        *,
        app_data: AppData | None = None,
    ) -> Self:
        """A worker that is up, until ``close``; of the per-user cache where no other is given.

        Raises NativeError where there is none or it does not start; WrongSettings, which is one, where the worker
        itself refuses to.
        """
        native = locate() if native is None else native
        settings = WorkerSettings() if settings is None else settings
        instance("native", native, NativeWorker)
        instance("settings", settings, WorkerSettings)
        if app_data is not None:
            instance("app_data", app_data, dict)
        worker = cls(_codec_of(native.schema.read_bytes()), settings)
        worker.app_data = {} if app_data is None else app_data
        arguments = worker._settings.arguments()
        worker._process = await WorkerProcess.spawn(native.binary, arguments, native.version, worker._channel.feed)
        try:
            await worker._wait_running(worker._process)
        except BaseException:
            await worker.close()
            raise
        _observer.emit("newworker", worker)
        return worker

    @classmethod
    @asynccontextmanager
    async def running(
        cls,
        native: NativeWorker | None = None,
        settings: WorkerSettings | None = None,
        *,
        app_data: AppData | None = None,
    ) -> AsyncIterator[Self]:
        """As ``start``; the worker is gone when the block ends."""
        worker = await cls.start(native, settings, app_data=app_data)
        try:
            yield worker
        finally:
            await worker.close()

    @property
    def pid(self) -> int:
        """Of its process; 0 as long as it has none."""
        return self._process.pid if self._process else 0

    @property
    def closed(self) -> bool:
        """Whether it is of no use any more: closed, dead or given up."""
        return self._gone.is_set()

    @property
    def died(self) -> bool:
        """Whether it ended without having been asked to; ``failure`` says how."""
        return self.failure is not None

    @property
    def settings(self) -> WorkerSettings:
        """What it was started with, and what of it was changed since."""
        return self._settings

    @property
    def load(self) -> int:
        """How many routers and servers it carries."""
        return self._root.load

    def count_objects(self) -> Counter[str]:
        """How many objects of each kind are on it, by our own books."""
        return self._root.count_objects()

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
            if not self.subprocess_closed:
                self.subprocess_closed = True
                self._emit("subprocessclose")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def create_webrtc_server(
        self, listen_infos: Sequence[ListenInfo], *, app_data: AppData | None = None
    ) -> WebRtcServer:
        """One port for all WebRTC transports. Raises RequestRefused where it can't be bound."""
        server = WebRtcServer(self._channel.new_id(), self._channel)
        body = {
            "web_rtc_server_id": server.id,
            "listen_infos": [listen_info_to_fbs(info) for info in items("listen_infos", listen_infos)],
        }
        await self._create(server, "WORKER_CREATE_WEBRTCSERVER", body, app_data)
        self._emit("newwebrtcserver", server)
        return server

    async def create_router(
        self, media_codecs: Sequence[RtpCodecCapability] = (), *, app_data: AppData | None = None
    ) -> Router:
        """A router for these codecs. Raises Unsupported where the worker lacks one, InvalidParameters where a value is
        wrong."""
        router = Router(self._channel.new_id(), self._channel, ortc.router_capabilities(media_codecs))
        await self._create(router, "WORKER_CREATE_ROUTER", {"router_id": router.id}, app_data)
        self._emit("newrouter", router)
        return router

    async def dump(self) -> WorkerDump:
        """Ids of what is in it, and of everything that can be asked or notified: ``channel_message_handlers``."""
        return cast(WorkerDump, await self._channel.request("WORKER_DUMP"))

    async def get_resource_usage(self) -> ResourceUsage:
        """``getrusage(2)`` of the process: times in milliseconds, ``ru_maxrss`` in KiB."""
        return cast(ResourceUsage, await self._channel.request("WORKER_GET_RESOURCE_USAGE"))

    async def update_settings(self, log_level: LogLevel | None = None, log_tags: Sequence[str] | None = None) -> None:
        """Log otherwise from now on. What is not given stays; ``log_tags=()`` silences them all."""
        wanted = replace(
            self._settings,
            log_level=self._settings.log_level if log_level is None else log_level,
            log_tags=self._settings.log_tags if log_tags is None else tuple(items("log_tags", log_tags)),
        )
        wanted.require_known()
        body = {"log_level": wanted.log_level, "log_tags": list(wanted.log_tags)}
        await self._channel.request("WORKER_UPDATE_SETTINGS", "", body)
        self._settings = wanted

    def _require_open(self) -> None:
        if self.closed:
            raise self._closed_error()

    def _closed_error(self) -> WorkerGone:
        return WorkerGone(str(self.failure or f"worker {self.pid} was closed"))

    async def _create(self, child: Resource, method: str, body: Body, app_data: AppData | None) -> None:
        self._require_open()
        await self._root.create(child, method, body, app_data)

    async def _wait_running(self, process: WorkerProcess) -> None:
        self._tasks.append(asyncio.create_task(self._watch_exit(process), name=f"worker {self.pid} exit"))
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._running.wait()
        except TimeoutError:
            raise NativeError(f"worker {self.pid} was not ready after {START_TIMEOUT_S:.0f} s") from None
        if process.exit_code == WRONG_SETTINGS:
            raise WrongSettings(f"the worker refuses its settings: {self.failure}") from self.failure
        if self.failure is not None:
            raise NativeError(f"it ended before it was ready: {self.failure}") from self.failure
        self._tasks.append(asyncio.create_task(self._watch_answers(), name=f"worker {self.pid} heartbeat"))

    def _notified(self, event: str, _: Body) -> None:
        """WORKER_RUNNING comes under the worker's pid, which in a pid namespace is another than ours: any id counts."""
        if event == "WORKER_RUNNING":
            self._running.set()

    def _write(self, frame: bytes) -> None:
        if self._process is not None:
            self._process.write(frame)

    async def _drain(self) -> None:
        if self._process is not None:
            await self._process.drain()
            if self._process.pipe_broken:  # it has ended, and we are about to hear of it
                await self._gone.wait()

    async def _watch_exit(self, process: WorkerProcess) -> None:
        code = await process.wait()
        cause = "wrong settings" if code == WRONG_SETTINGS else f"signal {-code}" if code < 0 else f"exit code {code}"
        self.subprocess_closed = True
        self._end(WorkerGone(f"worker {self.pid} died ({cause})"))
        self._emit("subprocessclose")

    async def _watch_answers(self) -> None:
        """Ask for a sign of life now and then, and give up on a worker that is late with an answer.

        One look is not enough: had our own loop been late, the answer would be waiting in the pipe, and be read before
        the second. The worker takes requests in order: one that it has answered a later one for, it never answers. For
        a question that says nothing of the worker.
        """
        overdue = 0
        asked: asyncio.Future[ResourceUsage] | None = None
        while True:
            if asked is None or asked.done():
                asked = asyncio.ensure_future(self.get_resource_usage())
                asked.add_done_callback(self._note_usage)
            await asyncio.sleep(self._settings.heartbeat_s)
            oldest = self._channel.oldest_pending
            now = asyncio.get_running_loop().time()
            if oldest is None or now - oldest[2] < self._settings.hang_after_s:
                overdue = 0
            elif self._channel.answered_through > oldest[2] and oldest[1].endswith(QUESTIONS):
                self._channel.give_up(oldest[0])
            elif overdue != oldest[0]:
                overdue = oldest[0]
            else:
                waited = f"no answer to {oldest[1]} for {now - oldest[2]:.1f} s"
                self._alarm(WorkerGone(f"worker {self.pid} hangs: {waited}"))

    def _note_usage(self, answer: asyncio.Future[ResourceUsage]) -> None:
        if not answer.cancelled() and answer.exception() is None:
            self.resource_usage, self.usage_at = answer.result(), time.monotonic()

    def _alarm(self, failure: Exception) -> None:
        """The worker can't be trusted any more: it is killed, and everything on it closes now, whenever the process has
        ended."""
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
        self._root.end()
        if failure is not None:
            logger.error("%s", failure)
            self._emit("died", failure)
        self._emit("close")


@lru_cache(1)
def _codec_of(schema: bytes) -> MessageCodec:
    """Workers of one release share it, and with it what they have in common of their messages."""
    return MessageCodec(schema)
