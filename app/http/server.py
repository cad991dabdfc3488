"""The serving process, from its first connection to the signal that ends it. Of the application it knows only that it
can be drained."""

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

SHUTDOWN_TIMEOUT_S = 10.0  # for requests under way; a supervisor kills not much later
BACKLOG = 1024  # connections that wait to be accepted
DESCRIPTORS = resource.RLIMIT_NOFILE
OTHER_DESCRIPTORS = 256  # for workers, the database, files and whatever else is no client's connection

PROTOCOL: Final[dict[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,  # no endpoint takes compressed bodies: none is ever unpacked
    "lingering_time": 2.0,  # seconds that the rest of a refused body is read and dropped before we close
}

Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class CannotListen(Exception):
    """The address of HTTP and WebSocket can't be had; the text is one sentence."""


def run_async(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end, on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:  # Windows has none
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


async def serve(app: web.Application, settings: Settings, started: Callable[[str], None] = lambda _url: None) -> int:
    """Serve until SIGINT or SIGTERM; then stop listening, let requests end, and close what the application owns.

    SIGTERM gives live calls some time first, which a second signal cuts short, and leaves those that are connected to
    the process that comes next; SIGINT ends them. After that, signals do what they do to any program.

    :param started: is told the base URL once connections are accepted.
    Raises CannotListen where the address can't be had.
    """
    async with AsyncExitStack() as serving:
        with stop_signals() as signals:  # while all is closed they have their ordinary effect again
            url = await serving.enter_async_context(served(app, settings))
            calm_collector()
            _log.info("listening on %s", url)
            started(url)
            async with systemd.service():
                first = await signals.get()
                if first is signal.SIGTERM and DRAIN in app:
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
        listeners = await listen(runner, settings)
        try:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            yield f"http://{host}:{listeners[0].sockets[0].getsockname()[1]}"
        finally:
            for listener in listeners:
                listener.close()  # before the runner closes the open connections
    finally:
        await runner.cleanup()


def calm_collector() -> None:
    """Have the garbage collector skip what was there at the start, and run less often over what came since.

    A request makes many objects and hardly a cycle: at Python's own thresholds a third of the CPU went into collecting.
    A full collection visits all live calls and stops everything meanwhile, 0.15 s for 700 calls. So it is left to a
    moment without calls (``collect_when_idle``), or until ten million more objects are alive.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 500, 50)


def make_runner(app: web.Application) -> web.AppRunner:
    """The application's runner, with the HTTP server's options."""
    return web.AppRunner(
        app,
        handler_cancellation=False,  # a client that goes away must not stop a handler halfway
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        **PROTOCOL,
    )


async def listen(runner: web.AppRunner, settings: Settings) -> list[asyncio.Server]:
    """Listen for clients and, in a cluster, for nodes, with as many places for connections as there are descriptors.

    Raises CannotListen where an address can't be had.
    """
    server, connections = cast(web.Server, runner.server), runner.app[CONNECTIONS]
    connections.most = int(min(connections.most, connections_for(raise_descriptor_limit(connections.most))))
    if connections.most < settings.max_connections:
        _log.warning("there are descriptors for %d of %d connections only", connections.most, settings.max_connections)
    factory = connections.factory(server, keepalive_timeout=settings.keepalive_timeout_s, **PROTOCOL)
    listeners: list[asyncio.Server] = []
    for host, port in places(settings):
        try:
            listeners.append(await asyncio.get_running_loop().create_server(factory, host, port, backlog=BACKLOG))
        except OSError as error:
            for listener in listeners:
                listener.close()
            # Both event loops put a sentence of their own into strerror; an unresolved name has no errno of the system.
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
            raise CannotListen(f"can't listen on {host} port {port}: {reason}") from error
    return listeners


def places(settings: Settings) -> Iterator[tuple[str, int]]:
    """Hosts and ports to listen on, the clients' first."""
    yield settings.host, settings.port
    if settings.cluster:
        host, _, port = settings.cluster_listen.rpartition(":")
        yield host.strip("[]"), int(port)


def raise_descriptor_limit(connections: int) -> float:
    """Raise the soft limit as far as so many connections need it and the hard limit allows. Returns the soft limit."""
    soft, hard = (math.inf if limit == resource.RLIM_INFINITY else limit for limit in resource.getrlimit(DESCRIPTORS))
    wanted = min(connections + OTHER_DESCRIPTORS, hard)
    if soft < wanted:
        resource.setrlimit(DESCRIPTORS, (int(wanted), resource.RLIM_INFINITY if math.isinf(hard) else int(hard)))
    return max(soft, wanted)


def connections_for(descriptors: float) -> float:
    """The number of connections for which so many descriptors suffice."""
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
