"""A look whether a call would work, from browsers: what works, what the network lets through, and what is left."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.web import build
from tests.clients.js.conftest import TEST_PACKAGES
from tests.clients.js.far_apart import NODE, Way, far_apart
from tests.clients.js.parties import HERE, Person, Stage, talk
from tests.coturn import SECRET, running_coturn
from tests.integration.firefox.browsers import driven
from tests.integration.firefox.nodes import quiet, running_node

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]

BROWSERS = pytest.mark.parametrize("browser", ["chromium", "firefox"])
TURN_PORT = 3478
REFUSE = """(() => {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', 'NotAllowedError'));
})()"""
HURRY_MS = 5000  # to the server and back, on a machine that does much else


async def report_of(person: Person) -> dict[str, Any]:
    """What a preflight found; nothing of it is left in the page."""
    before = await person.tab.evaluate("left()")
    report: dict[str, Any] = await person.do("party.preflight()")
    await person.has_left(**before)
    return report


@BROWSERS
async def test_where_all_works_all_is_said_to_work_and_nobody_is_told(stage: Stage, browser: str):
    async with stage.people(getattr(stage, browser), stage.chromium) as (user, otomo):
        for person in (user, otomo):
            report = await report_of(person)
            assert 0 <= report.pop("roundTripMs") < HURRY_MS
            assert report.pop("mos") > 3
            ways = {"udp": True, "tcp": True, "turn": None}  # the node names no TURN server
            assert report == {"microphone": True, "http": True, "websocket": True, **ways}
        assert set(await user.do("party.told.map(([name]) => name)")) <= {"vp.state", "vp.otomos"}
        assert "busy" not in [told["status"] for told in await user.do("party.payloads('vp.otomos')")]
        workers = (await stage.ask("GET", "/admin/workers"))["workers"]
        assert {one["transports"] for one in workers} == {0}


async def test_during_a_call_it_disturbs_nobody(stage: Stage):
    async with stage.people(stage.chromium, stage.firefox) as (user, otomo):
        await talk(user, otomo)
        report = await user.do("party.preflight()")
        assert (report["udp"], report["tcp"]) == (True, True)
        await asyncio.gather(user.hears(), otomo.hears())
        assert await user.do("call.state") == "talking"


@BROWSERS
async def test_without_a_microphone_the_ways_are_looked_at_all_the_same(stage: Stage, browser: str):
    async with stage.people(getattr(stage, browser), stage.chromium) as (user, _):
        await user.do(REFUSE)
        report = await report_of(user)
        assert (report["microphone"], report["udp"], report["tcp"]) == ("MICROPHONE_DENIED", True, True)


async def test_a_token_that_is_refused_is_all_that_is_said(stage: Stage):
    async with stage.people() as (user, _):
        await user.do("(party.token = 'nonsense')")
        report = await report_of(user)
        assert (report["microphone"], report["http"], report["websocket"]) == (True, "UNAUTHORIZED", "UNAUTHORIZED")
        assert {report[name] for name in ("udp", "tcp", "turn", "mos", "roundTripMs")} == {None}


async def test_a_node_that_takes_no_calls_says_so(stage: Stage):
    async with stage.people() as (user, _):
        await stage.ask("POST", "/admin/drain", {"mode": "wait"})
        try:
            report = await report_of(user)
        finally:
            await stage.ask("DELETE", "/admin/drain")
        assert (report["udp"], report["tcp"], report["turn"], report["mos"]) == ("DRAINING", "DRAINING", None, None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def far(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Way, Stage]]:
    """The browsers on one machine, the node and a TURN server on another."""
    packages = build.packages(quiet, TEST_PACKAGES)
    settings = {"HOST": NODE, "TURN_SECRET": SECRET, "TURN_URLS": f"turn:{NODE}:{TURN_PORT}?transport=tcp"}
    named = {
        f"VOICEPLANE_{name}": value for name, value in {**settings, "STRESS_LIMIT": "0", "RATE_LIMIT": "0"}.items()
    }
    folder = tmp_path_factory.mktemp("far")
    with (
        far_apart() as way,
        running_coturn(folder, NODE, TURN_PORT, network=way.far),
        running_node(way.far, HERE / "page.js", folder, HERE / "page.html", **named) as node,
        tempfile.TemporaryDirectory(prefix="browsers-") as scratch,
    ):
        async with driven(way.near, packages, Path(scratch)) as browsers:
            chromium = await browsers.launch("chromium", node.base)
            firefox = await browsers.launch("firefox", node.base)
            yield way, Stage(node, browsers, chromium, firefox)


@contextmanager
def no_udp(way: Way) -> Iterator[None]:
    """As many companies' firewalls are."""
    rule = ("pref", "1", "ipproto", "udp", "blackhole")
    way.router.run("ip", "rule", "add", *rule)
    try:
        yield
    finally:
        way.router.run("ip", "rule", "del", *rule)


@BROWSERS
async def test_what_the_network_lets_through_is_found(far: tuple[Way, Stage], browser: str):
    way, stage = far
    async with stage.people(getattr(stage, browser), stage.chromium) as (user, _):
        report = await report_of(user)
        assert [report[name] for name in ("udp", "tcp", "turn")] == [True, True, True]
        with no_udp(way):
            report = await report_of(user)
        assert [report[name] for name in ("udp", "tcp", "turn")] == ["NETWORK", True, True]
        assert report["mos"] > 3  # by TCP
