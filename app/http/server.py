"""The serving process: from its first connection to the signal that ends it. Of what is served it knows that it can
drain, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar, cast

from aiohttp import web

from app.http import systemd
from app.keys import CONNECTIONS, DRAIN
from app.settings import Settings

SHUTDOWN_TIMEOUT_S = 10.0  # for requests under way; whoever stops us kills us not much later
BACKLOG = 1024  # connections that wait to be accepted
DESCRIPTORS = resource.RLIMIT_NOFILE
OTHER_DESCRIPTORS = 256  # of workers, the database, pages that are sent and whatever else is no connection

PROTOCOL: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,  # no endpoint takes compressed bodies: none is unpacked, not even to be refused
    "lingering_time": 2.0,  # seconds that the rest of a refused body is read and dropped before we close
}

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class CannotListen(Exception):
    """The address of HTTP and WebSocket can't be had; the text is one sentence."""


def run_async(work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end on uvloop, where there is one."""
    try:
        import uvloop
    except ImportError:  # Windows has none
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def serve(app: web.Application, settings: Settings, started: Callable[[str], None] = lambda _url: None) -> int:
    """Serve until SIGINT or SIGTERM; then stop listening, let requests end, and close what the application owns.

    SIGTERM gives live calls some time first, which a second signal cuts short, and leaves those that are connected to
    the process that comes next; SIGINT ends them. Once stopping has begun, a further one
    does what it does to any program.

    :param started: is told the base URL once connections are accepted.
    Raises CannotListen where the address can't be had.
    """
    async with AsyncExitStack() as serving:
        with stop_signals() as signals:  # which have their ordinary effect again while all is closed
            url = await serving.enter_async_context(served(app, settings))
            calm_collector()
            _log.info("listening on %s", url)
            started(url)
            async with systemd.service():
                first = await signals.get()
                if first is signal.SIGTERM:
                    await app[DRAIN].leave(settings.drain_timeout_s, signals.get())
            _log.info("stopping on %s", first.name)
    return 0


@asynccontextmanager
async def served(app: web.Application, settings: Settings) -> AsyncIterator[str]:
    """The application, started and listening, until the block ends. Its base URL has the real port.

    Raises CannotListen where the address can't be had.
    """
    runner = make_runner(app)
    try:
        await runner.setup()
        listener = await listen(runner, settings)
        try:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            yield f"http://{host}:{listener.sockets[0].getsockname()[1]}"
        finally:
            listener.close()  # before the runner says good-bye to those who are there
    finally:
        await runner.cleanup()


def calm_collector() -> None:
    """Have the garbage collector leave alone what was there at the start, and look less often at what came since.

    A request makes many objects and hardly a cycle; at Python's own thresholds a third of the CPU went into looking.
    And a look at what has lived for a while, which is all live calls, holds up everything: 0.15 s for 700 of them. So
    that is left to a moment without calls (``collect_when_idle``), or for when ten million objects more are alive.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 500, 50)


def make_runner(app: web.Application) -> web.AppRunner:
    """The application as it is served: with every option of the HTTP server that is ours to choose."""
    return web.AppRunner(
        app,
        handler_cancellation=False,  # a client that hangs up must not cut a handler between the worker's yes and ours
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        **PROTOCOL,
    )


async def listen(runner: web.AppRunner, settings: Settings) -> asyncio.Server:
    """Accept connections, as far as there are descriptors. Raises CannotListen where that can't be."""
    server, connections = cast(web.Server, runner.server), runner.app[CONNECTIONS]
    connections.most = int(min(connections.most, connections_for(raise_descriptor_limit(connections.most))))
    if connections.most < settings.max_connections:
        _log.warning("descriptors are left for %d of %d connections", connections.most, settings.max_connections)
    factory = connections.factory(server, keepalive_timeout=settings.keepalive_timeout_s, **PROTOCOL)
    try:
        return await asyncio.get_running_loop().create_server(factory, settings.host, settings.port, backlog=BACKLOG)
    except OSError as error:
        # Both loops put a sentence of their own into strerror; a name that isn't resolved has no errno of the system.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise CannotListen(f"can't listen on {settings.host} port {settings.port}: {reason}") from error


def raise_descriptor_limit(connections: int) -> float:
    """As far as that many connections need it and the hard limit lets us. The soft limit that is in force."""
    soft, hard = (math.inf if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(DESCRIPTORS))
    wanted = min(connections + OTHER_DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(DESCRIPTORS, (int(wanted), resource.RLIM_INFINITY if math.isinf(hard) else int(hard)))
    return max(soft, wanted)


def connections_for(descriptors: float) -> float:
    """How many connections so many descriptors are enough for."""
    return max(descriptors - OTHER_DESCRIPTORS, descriptors // 2)


@contextmanager
def stop_signals() -> Iterator[asyncio.Queue[signal.Signals]]:
    """SIGINT and SIGTERM as they come; outside the block they have their ordinary effect."""
    loop = asyncio.get_running_loop()
    caught: asyncio.Queue[signal.Signals] = asyncio.Queue()
    signals = (signal.SIGINT, signal.SIGTERM)
    for one in signals:
        loop.add_signal_handler(one, caught.put_nowait, one)
    try:
        yield caught
    finally:
        for one in signals:
            loop.remove_signal_handler(one)
