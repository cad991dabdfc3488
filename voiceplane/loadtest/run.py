"""A whole load test, in its order: look at the server, set up the calls, hold them, end them.

Whatever happens, Ctrl-C included, calls are ended, sockets closed, points taken back and the generator stopped before
`run` returns.
"""

from __future__ import annotations

import asyncio
import gc
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any

import aiohttp

from app.access.tokens import issue_token
from app.http.server import calm_collector
from app.settings import Settings
from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError
from voiceplane.loadtest import processes, wallets
from voiceplane.loadtest.engine import Engine
from voiceplane.loadtest.errors import LoadTestError
from voiceplane.loadtest.findings import Findings
from voiceplane.loadtest.killer import Killer
from voiceplane.loadtest.load_call import LoadCall, LoadContext, now
from voiceplane.loadtest.node_killer import NodeKiller
from voiceplane.loadtest.nodes import Nodes
from voiceplane.loadtest.online_party import OnlineParty
from voiceplane.loadtest.options import Options, require_local_base
from voiceplane.loadtest.outcome import Outcome
from voiceplane.loadtest.sampler import Sample, Sampler
from voiceplane.loadtest.witnesses import ReferenceResult, make_reference_calls, prepare

TOKEN_TTL_S = 3 * 3600.0  # longer than the longest test
FILES_PER_CALL = 4  # the generator's sockets
SPARE_FILES = 200
IDLE_S = 55.0  # of a connection; the balancer waits a little longer
SPARE_S = 300.0  # of talk beyond ramp and hold, for which points are given too

Say = Callable[[str], None]


def http_session() -> aiohttp.ClientSession:
    """For as many parties as there are. Their connections wait for the next time that all of them move at once."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S))


async def run(options: Options, settings: Settings, say: Say, show: Callable[[Sample], None]) -> Findings:
    """Make the calls and return what was found.

    :param settings: their secret signs the tokens, and has to be the server's.
    :param say: is told each step, and `show` each second.
    Raises LoadTestError or ClientError where there can't be a test at all; a call that fails is a finding.
    """
    require_local_base(options.base)
    files = options.calls * FILES_PER_CALL + SPARE_FILES
    if not processes.allow_open_files(files):
        raise LoadTestError(f"{options.calls} calls need {files} open files, and fewer are allowed: see ulimit -n")
    async with (
        http_session() as http,
        Engine.running(options.frame_ms) as engine,
    ):
        admin = Api(http, options.base, issue_token(settings, "loadtest", "admin", TOKEN_TTL_S))
        context = LoadContext(options, admin, engine, await admin.capabilities())
        return await LoadTest(context, http, settings, say, show).held()


class LoadTest:
    """One test, with everything ready to begin."""

    def __init__(
        self,
        context: LoadContext,
        http: aiohttp.ClientSession,
        settings: Settings,
        say: Say,
        show: Callable[[Sample], None],
    ) -> None:
        self._context = context
        self._http = http
        self._settings = settings
        self._say = say
        self._run_id = f"load-{secrets.token_hex(3)}"
        self._show = show
        options, kills = context.options, context.kills
        self._nodes = Nodes(context.admin, options.port)
        self._killer = Killer(context.admin, self._nodes, options.kill_every_s or 0.0, kills, say)
        self._node_killer = NodeKiller(
            self._nodes, options.kill_node_every_s or 0.0, kills, say, options.start_node_with
        )

    async def held(self) -> Findings:
        with _calm_collector():
            return await self._held()

    async def _held(self) -> Findings:
        await self._check_first()
        sampler = Sampler(self._context, self._nodes, self._show)
        async with _meanwhile(self._nodes.follow()), _meanwhile(sampler.run()), _together() as calling:
            await self._ramp(calling)
            heard = await self._witnesses()
            hold_from = await sampler.read_now()
            await self._hold(calling)
            hold_until = await sampler.read_now()
            self._say("ending the calls")
            self._context.over.set()
        readings = (sampler.empty, hold_from, hold_until, await sampler.read_now())
        kills = self._context.kills
        return Findings(self._context.options, self._context.outcomes, *readings, sampler.samples, heard, kills)

    async def _check_first(self) -> None:
        """Say what is going to be missing before there is a single call."""
        await self._nodes.find()
        if not self._nodes.known:
            self._say("the server's process is not ours to look into: there will be no figures of CPU and memory")
        if self._context.options.witnesses:
            prepare()
        if self._context.options.kill_every_s is not None:
            await self._killer.targets()
        if self._context.options.kill_node_every_s is not None:
            await self._node_killer.targets()

    async def _ramp(self, calling: list[asyncio.Task[None]]) -> None:
        """Start one call loop after another. Returns once each has a call that talks, or has failed."""
        options, began_at = self._context.options, now()
        self._say(f"opening {options.calls} calls, {options.ramp:g} a second")
        all_ready = []
        for number in range(options.calls):
            await asyncio.sleep(began_at + number / options.ramp - now())
            ready = asyncio.Event()
            calling.append(asyncio.create_task(self._run_calls(number, ready), name=f"calls {number}"))
            all_ready.append(ready)
        for ready in all_ready:
            await ready.wait()
        if not self._context.talking:
            raise LoadTestError(f"no call came up: {self._context.outcomes[0].fault}")

    async def _witnesses(self) -> list[ReferenceResult]:
        """Make the reference calls under the full load, but before it is measured: what they cost is not counted."""
        options = self._context.options
        if not options.witnesses:
            return []
        self._say(f"{len(self._context.talking)} calls talk; {options.witnesses} witnesses listen")
        return await make_reference_calls(options.base, self._settings, options.witnesses, self._say)

    async def _hold(self, calling: list[asyncio.Task[None]]) -> None:
        """Let them talk, while any call is left; kill workers and nodes, where that is asked for."""
        options = self._context.options
        self._say(f"{len(self._context.talking)} calls talk; holding them for {options.duration_s:g} s")
        killing = self._killer.run() if options.kill_every_s is not None else asyncio.sleep(0)
        killing_nodes = self._node_killer.run() if options.kill_node_every_s is not None else asyncio.sleep(0)
        async with _meanwhile(killing), _meanwhile(killing_nodes):
            _, left = await asyncio.wait(calling, timeout=options.duration_s)
        if not left:
            self._say("no call is left")

    async def _run_calls(self, number: int, ready: asyncio.Event) -> None:
        """One call loop, from its users' log-in to their log-out. A failure is a finding, and ends no other loop."""
        name = f"{self._run_id}-{number}"
        try:
            async with self._users(name) as (user, otomo):
                await LoadCall(name, self._context, user, otomo, ready).run()
        except (ClientError, LoadTestError) as error:
            self._context.outcomes.append(Outcome(name, fault=str(error), opened_at=now(), ended_at=now()))
        finally:
            ready.set()

    @asynccontextmanager
    async def _users(self, name: str) -> AsyncIterator[tuple[OnlineParty, OnlineParty]]:
        """A user with points and an otomo, both online."""
        options = self._context.options
        async with AsyncExitStack() as stack:
            user, otomo = [
                await stack.enter_async_context(
                    OnlineParty.online(self._http, options.base, f"{name}-{role}", self._token(f"{name}-{role}", role))
                )
                for role in ("user", "otomo")
            ]
            if options.price:
                points = wallets.points_needed(options, options.ramp_s + options.duration_s + SPARE_S)
                stack.push_async_callback(self._take_back, user)
                await wallets.give(self._context.admin, user.user_id, points)
            yield user, otomo

    async def _take_back(self, user: OnlineParty) -> None:
        with suppress(ClientError):  # a server that is gone; the wallet is one that nobody will use again
            await wallets.take_back(self._context.admin, user.api, user.user_id)

    def _token(self, user_id: str, role: str) -> str:
        return issue_token(self._settings, user_id, role, TOKEN_TTL_S)


@contextmanager
def _calm_collector() -> Iterator[None]:
    """A full collection stops all parties for longer than the server takes to answer them."""
    before = gc.get_threshold()
    calm_collector()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run `work` until the block is left. Raises what `work` has raised by then."""
    task = asyncio.create_task(work, name="meanwhile")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
    if not task.cancelled():
        task.result()


@asynccontextmanager
async def _together() -> AsyncIterator[list[asyncio.Task[None]]]:
    """Tasks that have ended when the block is left: by themselves, or cancelled where the block fails."""
    tasks: list[asyncio.Task[None]] = []
    try:
        yield tasks
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
