"""The client while its network is gone, and when it is another one: the call goes on, or ends where nobody is back."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from app.web import build
from tests.clients.js.conftest import TEST_PACKAGES
from tests.clients.js.far_apart import NODE, Way, far_apart
from tests.clients.js.parties import HERE, Stage, talk
from tests.integration.firefox.browsers import driven
from tests.integration.firefox.nodes import quiet, running_node

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

SHORT_S, LONG_S, TOO_LONG_S = 3.0, 10.0, 30.0  # of an outage; a call waits for 20 s once 5 are over
BACK_WITHIN_S = 10.0  # sound, after an outage
GRACE_S = 30.0  # on a machine that does much else


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Way, Stage]]:
    """The browsers on one machine, the node on another."""
    packages = build.packages(quiet, TEST_PACKAGES)
    settings = {"VOICEPLANE_HOST": NODE, "VOICEPLANE_DRAIN_TIMEOUT_S": "0", "VOICEPLANE_STRESS_LIMIT": "0"}
    folder = tmp_path_factory.mktemp("far")
    with (
        far_apart() as way,
        running_node(way.far, HERE / "page.js", folder, HERE / "page.html", **settings) as node,
        tempfile.TemporaryDirectory(prefix="browsers-") as scratch,
    ):
        async with driven(way.near, packages, Path(scratch)) as browsers:
            chromium = await browsers.launch("chromium", node.base)
            firefox = await browsers.launch("firefox", node.base)
            yield way, Stage(node, browsers, chromium, firefox)
            way.mend()


async def outage(way: Way, seconds: float) -> None:
    """Nothing gets through for so long."""
    way.cut()
    try:
        await asyncio.get_running_loop().create_task(asyncio.sleep(seconds))
    finally:
        way.mend()


async def test_a_call_outlives_outages_and_another_network_and_ends_when_nobody_comes_back(scene: tuple[Way, Stage]):
    way, stage = scene
    async with stage.people(stage.firefox, stage.chromium) as (user, otomo):
        people = (user, otomo)
        before = [await person.tab.evaluate("left()") for person in people]
        call_id = await talk(user, otomo)
        connections = [await person.do("peers.all.length") for person in people]

        for seconds in (SHORT_S, LONG_S):
            await outage(way, seconds)
            since = time.monotonic()
            await asyncio.gather(*(person.hears(GRACE_S) for person in people))
            print(f"after {seconds:.0f} s without a network sound is back in {time.monotonic() - since:.1f} s")
            assert [await person.do("call.state") for person in people] == ["talking", "talking"]
        assert (await user.told("resumed"))["callId"] == call_id
        assert (await otomo.told("interrupted"))["reason"] == "no_rtp"

        way.move()
        since = time.monotonic()
        await asyncio.gather(*(person.hears(GRACE_S) for person in people))
        print(f"in another network sound is back in {time.monotonic() - since:.1f} s")
        print("connections", connections, [await person.do("peers.all.length") for person in people])

        await outage(way, TOO_LONG_S)
        for person, was in zip(people, before, strict=True):
            summary = await person.told("ended", within_s=GRACE_S)
            assert summary["reason"] in {"network_failed", "disconnect", "rtp_stopped"}
            assert summary["totalChargedPoints"] == 0
            await person.has_left(**was)
