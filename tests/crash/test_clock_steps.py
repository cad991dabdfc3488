"""The wall clock is set by an hour, in a running node and between two: what is displayed jumps, and no charge does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

import aiohttp
import pytest

from app.ledger.values import Call, Unit
from app.settings import Settings
from schemas.call import CallState
from tests.app.access.signed_tokens import hs256
from tests.conftest import SECRET, eventually
from tests.conversation import Conversation, conversation
from tests.crash.books import books_at, last_proof_ms
from tests.crash.killed_node import Node, started
from tests.crash.outliving import CLOCKS_MS
from tests.crash.rounds import UNIT_S
from tests.crash.stepped_clock import HOUR_S, SteppedClock
from tests.integration.ws import Client, connected
from voiceplane.client.api import Api

PRICE, POINTS = 7, 100_000
UNIT_MS = round(1000 * UNIT_S)
BUSY_S = 15.0  # for how long a busy machine may keep a party from sending
PATIENCE_S = 20.0  # for how long an answer may be under way there
WINDOW_S = 60.0  # longer than any restart, and shorter than any step


class Scene:
    """A node under a clock of its own, and a call in it; the tokens of its people are good whatever the clock says."""

    def __init__(self, node: Node, http: aiohttp.ClientSession, user: Client) -> None:
        self.node = node
        self.http = http
        self.user = user
        self.admin, self.user_api, self.otomo_api = (
            Api(http, node.base, token_of(*who)) for who in (("root", "admin"), ("user", "user"), ("otomo", "otomo"))
        )

    def talk(self) -> Any:
        return conversation(self.user_api, self.otomo_api, "call")

    @property
    def ticks(self) -> int:
        return len(self.user.payloads("call_tick", "call"))

    async def sees(self, step_s: int) -> None:
        """Wait until the node's clock is that far from the machine's, as its answers say (RFC 9110 §6.6.1)."""

        async def why_not() -> str | None:
            async with self.http.get(f"{self.node.base}/health/live") as answer:
                off_s = parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
            return None if abs(off_s - step_s) < PATIENCE_S else f"it is {off_s:.0f} s off"

        await eventually(why_not)

    async def ticks_more(self, count: int) -> None:
        await self.user.until("call_tick", "call", count=self.ticks + count)

    async def hang_up(self) -> dict[str, Any]:
        """The call as its parties read it, after its end."""
        await self.user_api.request("POST", "/calls/call/end")
        await self.user.until("call_end", "call")
        return await self.user_api.request("GET", "/calls/call")


def ms(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1000)


def resumed_ms(call: dict[str, Any]) -> int:
    """When a call went on, by a clock that had been set back: earlier than it was connected."""
    return min(ms(step["at"]) for step in call["timeline"] if step["type"] == "talking")


def token_of(user_id: str, role: str) -> str:
    return hs256({"sub": user_id, "role": role, "exp": time.time() + 24 * HOUR_S}, SECRET)


@asynccontextmanager
async def run(
    settings: Settings, http: aiohttp.ClientSession, clock: SteppedClock, since: int | None = None
) -> AsyncIterator[Scene]:
    async with (
        started(settings, environment=clock.environment) as node,
        connected(http, node.base, token_of("user", "user"), since=since) as user,
    ):
        yield Scene(node, http, user)


async def open_call(scene: Scene) -> None:
    gift = {"amount": POINTS, "reason": "gift", "idempotencyKey": "gift"}
    await scene.admin.request("POST", "/admin/wallets/user/adjust", gift)
    await scene.admin.open_call("call", "user", "otomo", PRICE)


async def adds_up(settings: Settings, talked_ms: int) -> tuple[Call, tuple[Unit, ...]]:
    """The call as it is stored, once it has ended: charged for no more than was talked, whatever the clock said."""
    books = await books_at(settings.database_url, ["user"])
    assert books.audit == ()
    call, units = books.calls["call"], books.units["call"]
    assert call.state is CallState.ENDED
    assert abs(call.talked_ms - talked_ms) <= CLOCKS_MS
    assert 0 < len(units) <= call.talked_ms // UNIT_MS
    assert books.balances["user"] == POINTS - PRICE * len(units)
    return call, units


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
async def test_a_step_in_a_running_node_changes_no_charge(own_settings, http, tmp_path, step_s):
    settings = own_settings(interrupted_after_s=BUSY_S, reconnect_window_s=WINDOW_S)
    clock = SteppedClock(tmp_path / "clock")
    async with run(settings, http, clock) as scene, AsyncExitStack() as stack:
        await open_call(scene)
        await stack.enter_async_context(scene.talk())
        await scene.ticks_more(4)
        for step in (step_s, 0):
            clock.set(step)
            await scene.sees(step)
            await scene.ticks_more(4)
        call = await scene.hang_up()
    assert call["interruptions"] == []
    _, units = await adds_up(settings, ms(call["endedAt"]) - ms(call["connectedAt"]))
    apart = [later.charged_at_ms - earlier.charged_at_ms - UNIT_MS for earlier, later in pairwise(units)]
    steps = [one for one in apart if abs(one) > CLOCKS_MS]
    assert steps == [pytest.approx(1000 * one, abs=CLOCKS_MS) for one in (step_s, -step_s)], "a unit is a unit"


async def test_an_interruption_over_a_step_backwards_ends_like_any_other(own_settings, http, tmp_path):
    settings, clock = own_settings(reconnect_window_s=WINDOW_S), SteppedClock(tmp_path / "clock")
    async with run(settings, http, clock) as scene, AsyncExitStack() as stack:
        await open_call(scene)
        talk: Conversation = await stack.enter_async_context(scene.talk())
        await scene.ticks_more(4)
        talk.otomo.vanish()
        await scene.user.until("call_interrupted", "call")
        clock.set(-HOUR_S)
        await scene.sees(-HOUR_S)
        await stack.enter_async_context(scene.talk())
        await scene.user.until("call_resumed", "call")
        await scene.ticks_more(4)
        call = await scene.hang_up()
    [line] = call["interruptions"]
    assert line["until"] == line["since"], "it is not shown as ending before it began"
    await adds_up(settings, ms(line["since"]) - ms(call["connectedAt"]) + ms(call["endedAt"]) - resumed_ms(call))


@pytest.mark.timeout(300)  # two starts, and two handshakes
@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
async def test_a_step_between_two_processes_changes_no_charge(own_settings, http, tmp_path, step_s):
    """Forward, the call's last proof looks an hour old, and it ends then; backward, it goes on."""
    settings, clock = own_settings(reconnect_window_s=WINDOW_S), SteppedClock(tmp_path / "clock")
    async with run(settings, http, clock) as scene, AsyncExitStack() as stack:
        await open_call(scene)
        await stack.enter_async_context(scene.talk())
        await scene.ticks_more(4)
        await scene.node.kill()
        heard = scene.user.told[-1]["seq"]
    left = (await books_at(settings.database_url, ["user"])).calls["call"]
    assert left.talked_ms > 0
    clock.set(step_s)
    async with run(settings, http, clock, since=heard) as scene, AsyncExitStack() as stack:
        if step_s > 0:
            end = await scene.user.until("call_end", "call")
            assert (end["reason"], end["totalChargedPoints"]) == ("system_error", left.billed_points)
            talked_ms = left.talked_ms
        else:
            await scene.user.until("media_moved", "call")
            await stack.enter_async_context(scene.talk())
            await scene.user.until("call_resumed", "call")
            uncharged = (
                left.talked_ms // UNIT_MS - left.billed_units
            )  # of what was talked: charged first, where it was late
            await scene.ticks_more(4 + max(0, uncharged))
            before = (await books_at(settings.database_url, ["user"])).calls["call"]
            assert before.talked_ms > left.talked_ms, "what is talked is stored, though the stored proof looks newer"
            call = await scene.hang_up()
            talked_ms = left.talked_ms + ms(call["endedAt"]) - resumed_ms(call)
    stored, units = await adds_up(settings, talked_ms)
    assert stored.connected_at_ms == left.connected_at_ms
    if step_s > 0:
        assert (stored.talked_ms, stored.ended_at_ms) == (talked_ms, last_proof_ms(left, units))
