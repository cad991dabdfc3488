"""Every way in which a call with real media ends: what both sides are told of it, in which order, and what it cost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing

import pytest

from schemas.types import iso
from tests.conftest import Server, eventually, serving
from tests.conversation import conversation
from tests.integration.conftest import worker_holds_nothing
from tests.integration.paid_calls import (
    INTERRUPTED_AFTER_S,
    KEPT_UP_S,
    NOTICED_WITHIN_S,
    PRICE,
    UNIT_S,
    WINDOW_S,
    MakeSettings,
    Scene,
    milliseconds,
    scene,
    talking,
)
from tests.integration.ws import connected
from tests.party import Party

CONNECTED_WITHIN_MS = 500  # promised are 100, on a machine of one's own


@pytest.fixture
async def server(short: MakeSettings) -> AsyncIterator[Server]:
    async with serving(short()) as running:
        yield running


async def hang_up(call: Scene) -> None:
    await call.user.api.request("POST", f"/calls/{call.call_id}/end")


async def hang_up_by_socket(call: Scene) -> None:
    assert (await call.otomo.socket.command("call_end", callId=call.call_id))["type"] == "call_end_ack"


async def clean_up(call: Scene) -> None:
    released = await call.otomo.api.cleanup(call.call_id)
    assert (released.transports, released.producers, released.consumers) == (4, 2, 2)


async def end_as_admin(call: Scene) -> None:
    await call.admin.request("POST", f"/admin/calls/{call.call_id}/end")


@pytest.mark.parametrize(
    ("end_it", "reason"),
    [(hang_up, "manual"), (hang_up_by_socket, "manual"), (clean_up, "manual"), (end_as_admin, "admin")],
)
async def test_somebody_ends_it(server: Server, end_it: Callable[[Scene], Awaitable[None]], reason: str) -> None:
    async with talking(server) as (call, _):
        await call.charged(2)
        await end_it(call)
        end = await call.ends(reason)
        assert end["totalChargedPoints"] >= 2 * PRICE
        await worker_holds_nothing(server)


async def test_the_first_packet_connects_and_is_told_at_once(server: Server) -> None:
    async with talking(server) as (call, _):
        for who in (call.user, call.otomo):
            [told] = [event for event in who.socket.told if event["type"] == "call_connected"]
            took_ms = who.socket.came_ms[told["seq"]] - milliseconds(told["payload"]["connectedAt"])
            print(f"call_connected came to the {who.user_id} {took_ms:.0f} ms after the first packet")
            assert took_ms < CONNECTED_WITHIN_MS
            assert told["payload"]["method"] == "sfu_rtp_detected"
        stored = await server.ledger.call(call.call_id)
        assert iso(stored.connected_at_ms) == told["payload"]["connectedAt"]
        timeline = (await call.admin.request("GET", f"/calls/{call.call_id}"))["timeline"]
        assert [step["type"] for step in timeline][:3] == ["matched", "connecting", "talking"]
        await hang_up(call)
        await call.ends("manual")


async def test_a_connection_that_cannot_be_stored_is_told_later_and_was_when_it_was(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server.ledger._database, "_timeout_s", 1.0)
    async with scene(server) as call:
        path = server.settings.data_dir / "voiceplane.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with conversation(call.user.api, call.otomo.api, call.call_id) as talk:
                await talk.heard()
                await eventually(lambda: "the connection waits" not in caplog.text and "storing has not failed yet")
                assert call.state == "connecting"
                assert call.user.socket.payloads("call_connected") == []
                locked_until_ms = time.time() * 1000
                other.execute("ROLLBACK")
                await call.connected()
                await call.charged(1)
                await hang_up(call)
        end = await call.ends("manual")
        connected_ms = milliseconds(call.user.socket.payloads("call_connected")[0]["connectedAt"])
        assert connected_ms < locked_until_ms
        assert end["durationSeconds"] == (milliseconds(end["endedAt"]) - connected_ms) // 1000


@pytest.mark.parametrize("leave", [Party.stop_sending, Party.vanish])
async def test_a_party_falls_silent(server: Server, leave: Callable[[Party], None]) -> None:
    async with talking(server) as (call, talk):
        await call.charged(1)
        leave(talk.otomo)
        began = time.monotonic()
        end = await call.ends("rtp_stopped")
        limit_s = INTERRUPTED_AFTER_S + WINDOW_S
        assert limit_s - 1.5 < time.monotonic() - began < limit_s + NOTICED_WITHIN_S
        [interrupted] = call.user.socket.payloads("call_interrupted")
        assert end["endedAt"] == interrupted["since"], "it ended when both were last proven to be there"
        timeline = (await call.admin.request("GET", f"/calls/{call.call_id}"))["timeline"]
        assert timeline[-1]["cause"] == f"rtp_stopped at otomo {call.otomo.user_id}"
        assert timeline[-1]["at"] == end["endedAt"]
        await worker_holds_nothing(server)


async def test_a_party_loses_its_socket_and_stops(server: Server) -> None:
    async with talking(server) as (call, talk):
        await call.charged(1)
        await call.user.socket.close()
        heard = call.user.socket.told[-1]["seq"]
        talk.user.stop_sending()
        assert (await call.otomo.socket.until("call_end"))["reason"] == "disconnect"
        token = server.token(call.user.user_id, "user")
        async with connected(call.http, server.base, token, since=heard) as again:
            end = await again.until("call_end")
            call.user.socket.told += again.told
        call.was_told_in_order(call.user)
        await call.adds_up(server.ledger, end)
        call.was_told_in_order(call.otomo)
        await worker_holds_nothing(server)


async def test_lost_sockets_alone_end_nothing(server: Server) -> None:
    async with talking(server) as (call, _):
        await call.charged(1)
        await call.user.socket.close()
        heard = call.user.socket.told[-1]["seq"]
        await call.otomo.socket.close()
        await call.charged(1 + round(KEPT_UP_S / UNIT_S))
        assert call.state == "talking"
        await hang_up(call)
        async with connected(call.http, server.base, server.token(call.user.user_id, "user"), since=heard) as again:
            end = await again.until("call_end")
            call.user.socket.told += again.told
        call.was_told_in_order(call.user)
        await call.adds_up(server.ledger, end)


async def test_a_party_closes_its_connection(server: Server) -> None:
    async with talking(server) as (call, talk):
        await call.charged(1)
        for handler in talk.otomo.media.handlers:
            await handler.close()  # says goodbye: DTLS is closed
        began = time.monotonic()
        await call.ends("network_failed")
        assert time.monotonic() - began < INTERRUPTED_AFTER_S + WINDOW_S + NOTICED_WITHIN_S
        await worker_holds_nothing(server)


async def test_the_points_run_out(server: Server) -> None:
    async with talking(server, points=250) as (call, _):
        end = await call.ends("low_balance")
        assert end["totalChargedPoints"] == 250
        ticks = call.user.socket.payloads("call_tick")
        assert [(one["status"], one["chargedPoints"], one["userBalance"]) for one in ticks] == [
            ("ok", 100, 150),
            ("low_balance", 100, 50),
            ("ended", 50, 0),
        ]
        updates = call.user.socket.payloads("wallet_update")
        assert [one["balance"] for one in updates if one["reason"] == "call_tick"] == [150, 50, 0]
        assert call.otomo.socket.payloads("wallet_update") == []
        await worker_holds_nothing(server)


async def test_the_node_stops(short: MakeSettings) -> None:
    async with AsyncExitStack() as node:
        server = await node.enter_async_context(serving(short()))
        async with talking(server) as (call, _):
            await call.charged(1)
            await node.aclose()
            end = await call.user.socket.until("call_end")
            assert await call.otomo.socket.until("call_end") == end
            assert end["reason"] == "system_error"
            call.was_told_in_order(call.user)
            call.was_told_in_order(call.otomo)
            async with serving(server.settings) as successor:
                await call.adds_up(successor.ledger, end)
                assert await successor.ledger.recovery_log() == (), "nothing was left to recover"
