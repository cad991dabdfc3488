"""A node that stands still and wakes up again: what it had is another's meanwhile, and it does nothing to it (C2)."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.cluster.member import Members
from tests.cluster.proof import LONG, Proof
from tests.cluster.service import LEASE_S, NAMES, Service
from tests.cluster.talk import Talk, talking
from tests.conftest import eventually

FREEZES_S = (1.0, 3.0, 5.0, 10.0) if LONG else (2.0, 6.0)
ADOPTED_WITHIN_S = 1.2  # after the lease
BUSY_S = 2.0  # for a machine that does other things as well
BACK_WITHIN_S = 6.0
WAKES_WITHIN_S = 15.0

pytestmark = pytest.mark.timeout(300)


async def test_a_node_that_is_frozen_shortly_keeps_its_calls_and_one_that_is_for_long_is_fenced(
    member: Members, proof: Proof
) -> None:
    async with Service.running(member) as service:
        await service.note_writers()
        async with talking(service.nodes["one"], service) as talk:
            for seconds in FREEZES_S:
                await talk.pays()
                if seconds < LEASE_S:
                    await freeze_shortly(service, talk, seconds)
                    held = "no takeover"
                else:
                    held = await freeze_for_long(service, talk, seconds)
                proof("C2", f"a node frozen for {seconds:g} s", held)
            await talk.pays()
            end = await talk.user.hang_up()
        books = await service.books("user")
    assert len(books.units["call"]) == talk.units
    assert end.reason == "manual"


async def freeze_shortly(service: Service, talk: Talk, seconds: float) -> None:
    before, call = await service.incarnations(), await service.call("call")
    with service.frozen(await service.owner("call")):
        await asyncio.sleep(seconds)  # it is what is done to it
    await talk.goes_on(call.epoch)
    await talk.pays()
    assert await service.incarnations() == before
    assert (await service.call("call")).epoch == call.epoch


async def freeze_for_long(service: Service, talk: Talk, seconds: float) -> str:
    owner, before = await service.owner("call"), await service.incarnations()
    epoch, mark = (await service.call("call")).epoch, (await service.writers("call"))[-1][0]
    began = time.monotonic()
    with service.frozen(owner):
        await eventually(lambda: still_of(service, owner), within_s=LEASE_S + ADOPTED_WITHIN_S + BUSY_S)
        adopted_s = time.monotonic() - began
        await talk.goes_on(epoch + 1)
        back_s = time.monotonic() - began
        assert back_s <= BACK_WITHIN_S + BUSY_S
        await asyncio.sleep(max(0.0, seconds - back_s))
    await eventually(lambda: not_back(service, before), within_s=WAKES_WITHIN_S)
    await talk.pays(4)
    fenced = [message for message in service.nodes[owner].log("critical") if "declared dead" in message]
    assert fenced, "the node has not noticed that it was declared dead"
    wrote = [name for _, name in await service.writers("call", mark)]
    first = next(number for number, name in enumerate(wrote) if name != owner)
    assert owner not in wrote[first:], "the fenced node has written about a call that is another's"
    return f"adopted after {adopted_s:.2f} s, both talk after {back_s:.2f} s, the woken node has written nothing of it"


async def still_of(service: Service, name: str, call_id: str = "call") -> str | None:
    return f"it is still {name}'s" if await service.owner(call_id) == name else None


async def not_back(service: Service, before: set[str]) -> str | None:
    """Why the woken node has not joined again."""
    now = await service.incarnations()
    return None if len(now) == len(NAMES) and now != before else f"there are {now}, and were {before}"
