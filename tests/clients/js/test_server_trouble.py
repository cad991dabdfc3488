"""The client when the server is in trouble: a worker is killed, a node is killed or stopped, and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from app.web import build
from tests.clients.js.conftest import TEST_PACKAGES
from tests.clients.js.parties import HERE, Person, Stage, talk
from tests.integration.firefox.browsers import Browsers, driven
from tests.integration.firefox.nodes import DefaultNode, quiet, running_node
from tests.network import Network

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

BASE = "http://127.0.0.1:8080"  # a node's own choice, in a network of its own
UNIT_S, PRICE = 2, 10
SOUND = 5  # packets
WITHIN_S = 30.0  # on a machine that does much else; what it takes on a calm one is in the report of the run


class Restartable:
    """A node that may be killed and started again on what it has stored."""

    def __init__(self, machine: Network, folder: Path) -> None:
        self._machine = machine
        self._folder = folder
        self._running = ExitStack()
        self.node = self._started()

    def restart(self, number: signal.Signals) -> None:
        os.kill(self.node.pid, number)
        self._running.close()
        self.node = self._started()

    def close(self) -> None:
        self._running.close()

    def _started(self) -> DefaultNode:
        settings = {"UNIT_SECONDS": UNIT_S, "PRICE_PER_MINUTE": PRICE, "WORKERS": 2, "STRESS_LIMIT": 0}
        named = {f"VOICEPLANE_{name}": str(value) for name, value in settings.items()}
        node = running_node(self._machine, HERE / "page.js", self._folder, HERE / "page.html", **named)
        return self._running.enter_context(node)


@pytest.fixture
def restartable(machine: Network, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restartable]:
    made = Restartable(machine, tmp_path_factory.mktemp("trouble"))
    yield made
    made.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browsers(machine: Network) -> AsyncIterator[tuple[Browsers, int, int]]:
    """With a Chromium and a Firefox, for the pages of the one node after the other."""
    packages = build.packages(quiet, TEST_PACKAGES)
    with tempfile.TemporaryDirectory(prefix="browsers-") as scratch:
        async with driven(machine, packages, Path(scratch)) as driver:
            yield driver, await driver.launch("chromium", BASE), await driver.launch("firefox", BASE)


@pytest.fixture
def scene(restartable: Restartable, browsers: tuple[Browsers, int, int]) -> Stage:
    assert restartable.node.base == BASE
    return Stage(restartable.node, *browsers)


async def sound_is_back(people: tuple[Person, Person], epoch: int) -> float:
    """After how many seconds each hears the other in the room of that number."""
    since = time.monotonic()

    async def one(person: Person) -> None:
        await person.until(f"party.payloads('moved').some(({{ mediaEpoch }}) => mediaEpoch >= {epoch})", WITHIN_S)
        await person.hears(WITHIN_S, SOUND)

    await asyncio.gather(*map(one, people))
    return time.monotonic() - since


async def test_a_call_goes_on_when_its_worker_is_killed(scene: Stage):
    async with scene.people(scene.firefox, scene.chromium) as people:
        user, otomo = people
        call_id = await talk(user, otomo)
        await otomo.do("call.mute()")
        await user.until("call.isRemoteMuted")
        before = [await person.do("left().tracks") for person in people]
        for worker in (await scene.ask("GET", "/admin/workers"))["workers"]:
            if worker["routers"]:
                os.kill(worker["pid"], signal.SIGKILL)
        since = time.monotonic()
        assert (await user.told("moved"))["reason"] == "worker_died"
        await otomo.hears(WITHIN_S, SOUND)
        print(f"after the worker's death sound is back in {time.monotonic() - since:.2f} s")
        await user.until("call.isRemoteMuted")
        await otomo.do("call.mute(false)")
        await user.hears(WITHIN_S, SOUND)
        await asyncio.gather(user.is_in("talking"), otomo.is_in("talking"))
        assert await user.do("call.callId") == call_id
        assert [await person.do("left().tracks") for person in people] == before
        ticks = len(await user.do("party.payloads('tick')"))
        await user.told("tick", ticks + 1)
        await user.do("call.hangUp()")
        assert (await otomo.told("ended"))["reason"] == "manual"


async def test_a_call_goes_on_when_its_node_is_killed_and_when_it_is_stopped(scene: Stage, restartable: Restartable):
    async with scene.people(scene.firefox, scene.chromium) as people:
        user, otomo = people
        call_id = await talk(user, otomo)
        for epoch, number in ((2, signal.SIGKILL), (3, signal.SIGTERM)):
            since = time.monotonic()
            await asyncio.to_thread(restartable.restart, number)
            up_s = time.monotonic() - since
            took_s = await sound_is_back(people, epoch)
            print(f"after {number.name} the node is up in {up_s:.1f} s, and sound back {took_s:.1f} s later")
            await asyncio.gather(user.is_in("talking"), otomo.is_in("talking"))
            assert await user.do("call.callId") == call_id
        await user.do("call.hangUp()")
        assert (await otomo.told("ended"))["reason"] == "manual"
