"""The wall clock is set by an hour, in a running node and between two: what is displayed jumps, and no charge does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from app.ledger.values import Call
from app.settings import Settings
from schemas.call import CallState
from tests.app.access.signed_tokens import hs256
from tests.conftest import SECRET
from tests.conversation import Conversation, conversation
from tests.crash.books import books_at
from tests.crash.killed_node import Node, started
from tests.crash.outliving import CLOCKS_MS
from tests.crash.rounds import UNIT_S
from tests.crash.stepped_clock import HOUR_S, SEEN_WITHIN_S, SteppedClock
from tests.integration.ws import Client, connected
from voiceplane.client.api import Api

PRICE, POINTS = 7, 100_000
BY_THE_WATCH_S = 1.5  # between what we measure and what the node does
PATIENCE_S = 20.0  # for how long an event may be under way on a busy machine
WINDOW_S = 60.0  # longer than any restart, and shorter than any step


class Scene:
    """A node under a clock of its own, and a call in it; the tokens of its people are good whatever the clock says."""

    def __init__(self, node: Node, http: aiohttp.ClientSession, user: Client) -> None:
        self.user = user
        self.admin, self.user_api, self.otomo_api = (
            Api(http, node.base, token_of(*who)) for who in (("root", "admin"), ("user", "user"), ("otomo", "otomo"))
        )

    def talk(self) -> Any:
        return conversation(self.user_api, self.otomo_api, "call")

    @property
    def ticks(self) -> int:
        return len(self.user.payloads("call_tick", "call"))

    async def ticks_more(self, count: int, step_s: int = 0) -> None:
        """That many units are charged, the last of them by that clock."""
        last = await self.user.until("call_tick", "call", count=self.ticks + count)
        seen = datetime.fromisoformat(last["timestamp"]).timestamp() - time.time()
        assert seen == pytest.approx(step_s, abs=SEEN_WITHIN_S + PATIENCE_S), "the node does not see the clock's step"

    def came(self, event_type: str) -> float:
        """When that event came, in seconds of the machine's own clock."""
        [seq] = [event["seq"] for event in self.user.told if event["type"] == event_type]
        return self.user.came_ms[seq] / 1000


def token_of(user_id: str, role: str) -> str:
    return hs256({"sub": user_id, "role": role, "exp": time.time() + 24 * HOUR_S}, SECRET)


@asynccontextmanager
async def run(
    settings: Settings, http: aiohttp.ClientSession, clock: SteppedClock, since: int | None = None
) -> AsyncIterator[tuple[Node, Scene]]:
    async with (
        started(settings, environment=clock.environment) as node,
        connected(http, node.base, token_of("user", "user"), since=since) as user,
    ):
        yield node, Scene(node, http, user)


async def open_call(scene: Scene) -> None:
    gift = {"amount": POINTS, "reason": "gift", "idempotencyKey": "gift"}
    await scene.admin.request("POST", "/admin/wallets/user/adjust", gift)
    await scene.admin.open_call("call", "user", "otomo", PRICE)


async def adds_up(settings: Settings, talked_s: float) -> Call:
    """The call as it is stored, once it has ended: charged for what was talked by the monotonic clock."""
    books = await books_at(settings.database_url, ["user"])
    assert books.audit == ()
    call, units = books.calls["call"], books.units["call"]
    assert call.talked_ms / 1000 == pytest.approx(talked_s, abs=BY_THE_WATCH_S)
    assert (talked_s - 2 * BY_THE_WATCH_S) / UNIT_S < len(units) <= call.talked_ms / 1000 / UNIT_S
    assert books.balances["user"] == POINTS - PRICE * len(units)
    return call


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
async def test_a_step_in_a_running_node_changes_no_charge(own_settings, http, tmp_path, step_s):
    settings, clock = own_settings(reconnect_window_s=WINDOW_S), SteppedClock(tmp_path / "clock")
    async with run(settings, http, clock) as (_, scene), AsyncExitStack() as stack:
        await open_call(scene)
        await stack.enter_async_context(scene.talk())
        await scene.ticks_more(4)
        clock.set(step_s)
        await scene.ticks_more(8, step_s)
        clock.set(0)
        await scene.ticks_more(8)
        assert scene.user.payloads("call_interrupted") == []
        await scene.user_api.request("POST", "/calls/call/end")
        await scene.user.until("call_end", "call")
    await adds_up(settings, scene.came("call_end") - scene.came("call_connected"))
    charged = [unit.charged_at_ms for unit in (await books_at(settings.database_url, ["user"])).units["call"]]
    apart = [later - earlier - round(1000 * UNIT_S) for earlier, later in pairwise(charged)]
    steps = [ms for ms in apart if abs(ms) > CLOCKS_MS]
    assert steps == [pytest.approx(1000 * step, abs=CLOCKS_MS) for step in (step_s, -step_s)], "a unit is a unit"


async def test_an_interruption_over_a_step_backwards_ends_like_any_other(own_settings, http, tmp_path):
    settings = own_settings(interrupted_after_s=3.5, reconnect_window_s=WINDOW_S)
    clock = SteppedClock(tmp_path / "clock")
    async with run(settings, http, clock) as (_, scene), AsyncExitStack() as stack:
        await open_call(scene)
        talk: Conversation = await stack.enter_async_context(scene.talk())
        await scene.ticks_more(4)
        talk.otomo.vanish()
        vanished = time.time()
        await scene.user.until("call_interrupted", "call")
        clock.set(-HOUR_S)
        await stack.enter_async_context(scene.talk())
        await scene.user.until("call_resumed", "call")
        await scene.ticks_more(8, -HOUR_S)
        await scene.user_api.request("POST", "/calls/call/end")
        await scene.user.until("call_end", "call")
        [line] = (await scene.user_api.request("GET", "/calls/call"))["interruptions"]
        assert line["until"] == line["since"], "it is not shown as ending before it began"
    before, after = vanished - scene.came("call_connected"), scene.came("call_end") - scene.came("call_resumed")
    await adds_up(settings, before + after)


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
async def test_a_step_between_two_processes_changes_no_charge(own_settings, http, tmp_path, step_s):
    """Forward, the call's last proof looks an hour old, and it ends then; backward, it goes on."""
    settings, clock = own_settings(reconnect_window_s=WINDOW_S), SteppedClock(tmp_path / "clock")
    async with run(settings, http, clock) as (node, scene), AsyncExitStack() as stack:
        await open_call(scene)
        await stack.enter_async_context(scene.talk())
        await scene.ticks_more(8)
        await node.kill()
        paid = scene.ticks
        heard = scene.user.told[-1]["seq"]
    left = (await books_at(settings.database_url, ["user"])).calls["call"]
    clock.set(step_s)
    async with run(settings, http, clock, since=heard) as (_, scene), AsyncExitStack() as stack:
        if step_s > 0:
            end = await scene.user.until("call_end", "call")
            assert (end["reason"], end["totalChargedPoints"]) == ("system_error", PRICE * paid)
        else:
            await scene.user.until("media_moved", "call")
            await stack.enter_async_context(scene.talk())
            await scene.user.until("call_resumed", "call")
            await scene.ticks_more(8, step_s)
            await scene.user_api.request("POST", "/calls/call/end")
            await scene.user.until("call_end", "call")
    talked_s = left.talked_ms / 1000
    if step_s < 0:
        talked_s += scene.came("call_end") - scene.came("call_resumed")
    stored = await adds_up(settings, talked_s)
    assert stored.state is CallState.ENDED
    assert stored.connected_at_ms == left.connected_at_ms
    if step_s > 0:
        assert (stored.talked_ms, stored.ended_at_ms) == (left.talked_ms, max(left.proven_at_ms, left.connected_at_ms))
