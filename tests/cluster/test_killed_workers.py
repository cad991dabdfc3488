"""A call that kills its workers, wherever it goes: two, and not a third (C6)."""

from __future__ import annotations

import os
import signal

import aiohttp
import pytest

from tests.cluster.member import Members
from tests.cluster.proof import Proof
from tests.cluster.service import Service
from tests.cluster.talk import talking
from voiceplane.client import Interrupted

pytestmark = pytest.mark.timeout(300)


async def test_a_call_has_two_workers_at_most_over_all_nodes_and_others_go_on(
    member: Members, http: aiohttp.ClientSession, proof: Proof
) -> None:
    async with (
        Service.running(member) as service,
        talking(service.nodes["one"], service.nodes["three"], "poison") as poison,
        talking(service.nodes["three"], service.nodes["three"], "other", names=("ann", "kyo")) as other,
    ):
        kill_workers(service, await service.owner("poison"))
        await poison.goes_on(2)
        await service.nodes[await service.owner("poison")].kill()
        await poison.goes_on(3)
        kill_workers(service, await service.owner("poison"))
        end = await poison.user.ended()
        assert end.reason == "worker_died"
        if await service.owner("other") != await service.owner("poison"):
            assert not [event for event in other.told.events if isinstance(event, Interrupted)]
        await other.pays()
        segments = await service.ledger.segments("poison")
        assert [one.reason for one in segments] == [None, "worker_died", "node_lost"]
        await other.user.hang_up()
        await service.books("user", "ann")
    held = f"ended {end.reason} after its second worker, in room {len(segments)}; the other call went on"
    proof("C6", "a call's worker killed, its node killed, its next worker killed", held)


def kill_workers(service: Service, name: str) -> None:
    for pid in service.nodes[name].workers():
        os.kill(pid, signal.SIGKILL)
