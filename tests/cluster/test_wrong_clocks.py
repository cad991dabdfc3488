"""Nodes whose clocks are wrong by an hour and by minutes: leases, bill and order are as ever (C8)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.app.access.signed_tokens import hs256
from tests.cluster.member import UNIT_S, Members
from tests.cluster.proof import Proof
from tests.cluster.service import LEASE_S, Service
from tests.cluster.talk import talking
from tests.conftest import SECRET, eventually
from tests.crash.killed_node import Node
from tests.crash.stepped_clock import HOUR_S, SteppedClock

OFF_S = {"one": HOUR_S, "two": -HOUR_S, "three": -300}
BY_THE_WATCH_S = 2.5  # between what we measure and what the nodes do

pytestmark = pytest.mark.timeout(300)


class Anytime:
    """A node, with tokens that are good whatever its clock says."""

    def __init__(self, node: Node) -> None:
        self.base = node.base

    def token(self, user_id: str, role: str) -> str:
        return hs256({"sub": user_id, "role": role, "exp": time.time() + 24 * HOUR_S}, SECRET)


async def test_a_call_is_taken_over_and_charged_alike_whatever_the_clocks_say(
    member: Members, tmp_path: Path, proof: Proof
) -> None:
    clocks = {name: SteppedClock(tmp_path / f"clock-{name}") for name in OFF_S}
    for name, clock in clocks.items():
        clock.set(OFF_S[name])
    only = {name: {"environment": clock.environment} for name, clock in clocks.items()}
    async with Service.running(member, only=only) as service:
        before = await service.incarnations()
        began = time.monotonic()
        async with talking(Anytime(service.nodes["one"]), Anytime(service.nodes["three"])) as talk:
            await eventually(lambda: time.monotonic() - began < 2 * LEASE_S, within_s=3 * LEASE_S)
            assert await service.incarnations() == before, "a clock that is wrong has had a node declared dead"
            await service.nodes["one"].kill()
            killed = time.monotonic()
            await talk.goes_on(2)
            back = time.monotonic()
            await talk.pays(4)
            await talk.user.hang_up()
            over = time.monotonic()
        books = await service.books("user")
        call, units = books.calls["call"], books.units["call"]
        assert call.talked_ms / 1000 <= killed - began + over - back + BY_THE_WATCH_S
        assert len(units) == talk.units <= call.talked_ms / 1000 / UNIT_S
        assert len(units) >= (call.talked_ms / 1000 - BY_THE_WATCH_S) / UNIT_S
        off = ", ".join(f"{seconds / 60:+.0f} min" for seconds in OFF_S.values())
        held = f"no takeover in two leases; killed, both talk after {back - killed:.1f} s; {len(units)} units"
        proof("C8", f"clocks off by {off}; then the owner killed", f"{held}, as talked; books clean")
