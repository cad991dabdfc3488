"""Clients that change nodes at random, with ``since``, while events are pruned: each event once, in order (C9)."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

import aiohttp
import pytest

from tests.cluster.member import Members
from tests.cluster.proof import LONG, Proof
from tests.cluster.service import NAMES, Service
from tests.integration.ws import PATIENCE_S, connected

CLIENTS, EVENTS_EACH = (20, 5000) if LONG else (10, 100)
STAYS_S = 1.0  # at most
KEPT_S = 10.0  # longer than anybody is away
PRUNED_EVERY_S = 0.2

pytestmark = pytest.mark.timeout(3600 if LONG else 180)


@dataclass
class Wanderer:
    """``balances`` is what it was told, one point more each time; ``seq`` the last event that it had."""

    user_id: str
    balances: list[int] = field(default_factory=list)
    seq: int | None = None
    moves: int = 0

    async def wander(self, service: Service, http: aiohttp.ClientSession, chance: random.Random) -> None:
        """Until everything has come."""
        until = time.monotonic() + PATIENCE_S
        while len(self.balances) < EVENTS_EACH:
            node = service.nodes[chance.choice(NAMES)]
            token = node.token(self.user_id, "user")
            async with connected(http, node.base, token, since=self.seq) as socket:
                await asyncio.sleep(chance.uniform(0, STAYS_S))  # any moment has to do
            told = [event for event in socket.told if event["type"] == "wallet_update"]
            if told:
                until = time.monotonic() + PATIENCE_S
            assert time.monotonic() < until, f"{self.user_id} has {len(self.balances)} events, and no more come"
            self.balances += [event["payload"]["balance"] for event in told]
            self.seq = max([self.seq or 0, *(event["seq"] for event in socket.told)])
            self.moves += 1


async def pay(service: Service, http: aiohttp.ClientSession, user_id: str, chance: random.Random) -> None:
    """One point after another, each at some node."""
    for number in range(EVENTS_EACH):
        admin = service.nodes[chance.choice(NAMES)].api(http, "root", "admin")
        point = {"amount": 1, "reason": "gift", "idempotencyKey": f"{user_id}-{number}"}
        await admin.request("POST", f"/admin/wallets/{user_id}/adjust", point)


async def prune(service: Service, pruned: list[int]) -> None:
    """Until cancelled."""
    while True:
        before_ms = time.time_ns() // 1_000_000 - round(1000 * KEPT_S)
        pruned.append(await service.ledger.prune_events(before_ms=before_ms))
        await asyncio.sleep(PRUNED_EVERY_S)


async def test_each_event_comes_once_and_in_order_whichever_nodes_a_client_is_at(
    member: Members, http: aiohttp.ClientSession, proof: Proof
) -> None:
    chance, pruned = random.Random(1), []
    async with Service.running(member, socket_rate=0) as service:
        wanderers = [Wanderer(f"user-{number}") for number in range(CLIENTS)]
        pruning = asyncio.create_task(prune(service, pruned))
        try:
            async with asyncio.TaskGroup() as tasks:
                for one in wanderers:
                    tasks.create_task(pay(service, http, one.user_id, chance))
                    tasks.create_task(one.wander(service, http, chance))
        finally:
            pruning.cancel()
            await asyncio.wait([pruning])
        assert pruning.cancelled(), pruning.exception()
        assert (await service.books(*(one.user_id for one in wanderers))).audit == ()
    for one in wanderers:
        assert one.balances == list(range(1, EVENTS_EACH + 1)), one.user_id
    moves = sum(one.moves for one in wanderers)
    done = f"{CLIENTS * EVENTS_EACH} events to {CLIENTS} clients who changed nodes {moves} times, {sum(pruned)} pruned"
    proof("C9", done, "each once, in order")
