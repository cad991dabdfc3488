"""What Prometheus is told, from outside: of whole calls with real media, and of what strangers send."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager

import aiohttp
import pytest

from app.keys import FORWARDING_PROBE
from tests.app.ops.scraped import Scraped, scrape
from tests.conftest import eventually, serving
from tests.conversation import conversation
from voiceplane.client.api import Api

SCRAPER = "a token for Prometheus"
CALL_ID = "counted"
PARTIES = (("ann", "user"), ("kyo", "otomo"))


@pytest.fixture
async def http():
    async with aiohttp.ClientSession() as session:
        yield session


async def status(http: aiohttp.ClientSession, url: str, token: str | None) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.get(url, headers=headers) as answer:
        return answer.status


async def test_only_admins_and_the_bearer_of_its_own_token_read_it(settings_with, http):
    async with serving(settings_with(metrics_token=SCRAPER)) as server:
        url = server.url("/metrics")
        assert await status(http, url, None) == 401
        assert await status(http, url, SCRAPER + "!") == 401
        assert await status(http, url, server.token("ann", "user")) == 403
        assert await status(http, url, server.token("ada", "admin")) == 200
        assert await status(http, url, SCRAPER) == 200
        assert await status(http, server.url("/admin/recovery"), SCRAPER) == 401, "it opens nothing else"


async def test_without_a_token_of_its_own_nothing_but_an_admin_opens_it(server, http):
    assert await status(http, server.url("/metrics"), "None") == 401
    assert await status(http, server.url("/metrics"), "") == 401


async def test_who_asks_for_openmetrics_gets_it(server, http):
    headers = server.headers("ada", "admin") | {"Accept": "application/openmetrics-text"}
    async with http.get(server.url("/metrics"), headers=headers) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert (await answer.text()).endswith("# EOF\n")


@asynccontextmanager
async def two_units_of(server, http, price: int) -> AsyncIterator[Api]:
    """A call with sound that has lived two units; leaving it ends it. Gives its user."""
    admin = Api(http, server.base, server.token("ada", "admin"))
    user, otomo = (Api(http, server.base, server.token(name, role)) for name, role in PARTIES)
    gift = {"amount": 1000, "reason": "gift", "idempotencyKey": "once"}
    await admin.request("POST", "/admin/wallets/ann/adjust", gift)
    await admin.open_call(CALL_ID, "ann", "kyo", price_per_minute=price)
    async with conversation(user, otomo, CALL_ID) as talk:
        await talk.heard()
        await eventually(lambda: units_missing(server))
        yield user
        await user.cleanup(CALL_ID)


async def units_missing(server):
    stored = await server.ledger.call(CALL_ID)
    return stored.billed_units < 2 and f"{stored.billed_units} units are billed"


async def test_a_whole_call_is_counted(settings_with, http):
    async with serving(settings_with(unit_seconds=0.5)) as server:
        async with two_units_of(server, http, price=7):
            during = await scrape(server, http)
        after = await scrape(server, http)
        stored = await server.ledger.call(CALL_ID)
    assert during.total("voiceplane_calls", state="talking") == 1
    assert during.total("voiceplane_sweep_duration_seconds_count") >= 1
    assert after.total("voiceplane_calls") == 0
    assert after.total("voiceplane_calls_ended_total", reason="manual") == 1
    assert after.total("voiceplane_calls_ended_total") == 1
    assert after.total("voiceplane_billed_units_total") == stored.billed_units
    assert after.total("voiceplane_billed_points_total") == stored.billed_points
    for name in ("setup", "first_rtp", "talk"):
        assert after.total(f"voiceplane_call_{name}_seconds_count") == 1, name
    talked = after.total("voiceplane_call_talk_seconds_sum")
    assert talked == pytest.approx((stored.ended_at_ms - stored.connected_at_ms) / 1000, abs=0.002)
    assert after.total("voiceplane_http_requests_total", route="/rtc/producers", method="POST", code="201") == 2
    assert after.total("voiceplane_http_request_duration_seconds_count", route="/rtc/producers") == 2
    assert after.total("voiceplane_bridge_requests_total", method="transport_produce", outcome="accepted") == 3, (
        "one of them is the proof that the worker forwards"
    )
    assert after.total("voiceplane_bridge_request_duration_seconds_count", method="transport_produce") == 3
    assert after.total("voiceplane_ledger_write_duration_seconds_count", operation="end_call") == 1
    assert after.total("voiceplane_ledger_write_failures_total") == 0


async def test_a_database_in_trouble_shows_and_so_does_what_waits_for_it(settings_with, http):
    settings = settings_with(unit_seconds=0.5)
    async with serving(settings) as server:
        async with two_units_of(server, http, price=0):
            with locked(settings.data_dir / "voiceplane.sqlite"):
                await eventually(lambda: no_trouble_yet(server, http))
            await eventually(lambda: still_waiting(server, http))
        billing = await server.ledger.billing(CALL_ID)
        told = await scrape(server, http)
    assert told.total("voiceplane_billed_units_total") == len(billing.units)
    assert told.total("voiceplane_ledger_write_failures_total") >= 1  # whichever write met the lock


@contextmanager
def locked(path):
    """Another process holds the database's write lock meanwhile."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


async def no_trouble_yet(server, http):
    told = await scrape(server, http)
    failed = told.total("voiceplane_ledger_write_failures_total")
    waiting = told.total("voiceplane_units_waiting")
    return not (failed and waiting > 1) and f"{failed} writes failed, {waiting} units wait"


async def still_waiting(server, http):
    waiting = (await scrape(server, http)).total("voiceplane_units_waiting")
    return waiting and f"{waiting} units wait"


async def test_websockets_their_commands_and_events_are_counted(server, http):
    socket_of_ann = http.ws_connect(server.url("/ws"), headers=server.headers("ann", "user"))
    socket_of_kyo = http.ws_connect(server.url("/ws"), headers=server.headers("kyo", "otomo"))
    async with socket_of_ann as ann, socket_of_kyo:
        assert [(await ann.receive_json())["type"] for _ in range(2)] == ["otomo_list", "otomo_status"]
        await ann.send_json({"type": "ping"})
        await ann.send_json({"type": "dance"})
        await ann.send_json({"type": "call_request", "payload": {"otomoId": "nobody"}})
        answers = [(await ann.receive_json())["type"] for _ in range(3)]
        seen = await scrape(server, http)
    assert answers == ["pong", "error", "error"]
    assert seen.total("voiceplane_websockets") == 2
    assert seen.total("voiceplane_websocket_users") == 2
    assert seen.total("voiceplane_websocket_commands_total", command="ping", code="OK") == 1
    assert seen.total("voiceplane_websocket_commands_total", command="other", code="BAD_REQUEST") == 1
    assert seen.total("voiceplane_websocket_commands_total", command="call_request", code="OTOMO_OFFLINE") == 1
    assert seen.total("voiceplane_websocket_events_total", type="otomo_status") == 1
    await eventually(lambda: open_sockets(server, http))
    assert (await scrape(server, http)).total("voiceplane_http_requests_total", route="/ws", code="101") == 2


async def open_sockets(server, http):
    count = (await scrape(server, http)).total("voiceplane_websockets")
    return count and f"{count} are open"


async def test_what_strangers_make_up_becomes_no_label(server, http):
    headers = server.headers("ann", "user")
    for number, method in enumerate(("MKCOL", "PROPFIND", "SEARCH", "BIND")):
        async with http.request(method, server.url(f"/pot/{number}"), headers=headers) as answer:
            assert answer.status == 404
        async with http.get(server.url(f"/calls/made-up-{number}"), headers=headers) as answer:
            assert answer.status == 404
    seen = await scrape(server, http)
    assert seen.total("voiceplane_http_requests_total", method="other", route="unmatched", code="404") == 4
    assert seen.total("voiceplane_http_requests_total", method="GET", route="/calls/{call_id}", code="404") == 4
    assert seen.values("voiceplane_http_requests_total", "method") == {"GET", "other"}


async def test_a_killed_worker_shows(server, http):
    before = server.pool.slots[0].worker
    os.kill(before.pid, signal.SIGKILL)
    await eventually(lambda: server.pool.slots[0].worker in (None, before) and "it is not back")
    await eventually(
        lambda: server.app[FORWARDING_PROBE].outcome(server.pool.slots[0]) is None and "it is not proven yet"
    )
    seen = await scrape(server, http)
    assert seen.total("voiceplane_worker_restarts_total", worker="0") == 1
    assert seen.total("voiceplane_worker_up", worker="0") == 1
    assert seen.total("voiceplane_worker_forwards", worker="0") == 1
    assert seen.total("voiceplane_worker_resident_memory_bytes", worker="0") > 1_000_000


async def test_two_nodes_in_one_process_count_apart(settings_with, tmp_path, http):
    one, other = settings_with(), settings_with(data_dir=tmp_path / "other")
    async with serving(one) as first, serving(other) as second:
        async with http.get(first.url("/rtc/capabilities"), headers=first.headers("ann", "user")) as answer:
            assert answer.status == 200
        assert (await scrape(first, http)).total("voiceplane_http_requests_total", route="/rtc/capabilities") == 1
        assert (await scrape(second, http)).total("voiceplane_http_requests_total", route="/rtc/capabilities") == 0


def test_names_and_units_are_prometheus_own(scraped_once: Scraped):
    for name in scraped_once.names:
        if name.startswith("voiceplane_"):
            assert name.islower(), name
            assert not name.endswith(("_ms", "_milliseconds", "_percent", "_kb", "_created")), name


def test_a_node_that_is_alone_puts_its_name_on_no_series(scraped_once: Scraped):
    assert {sample.name for sample in scraped_once.samples if "node" in sample.labels} == {"voiceplane_node_info"}


@pytest.fixture
async def scraped_once(server, http) -> Scraped:
    return await scrape(server, http)
