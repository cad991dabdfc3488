"""Who is connected to which node, and what users are told of otomos, in a cluster's database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec import json

from app.ledger import Ledger
from app.ledger.presence import Told
from app.person import Person
from schemas.signaling import OtomoStatus
from tests.app.ledger.ledger_samples import NODE, matched_call, open_call

OTOMOS = ("otomo-1", "otomo-2", "otomo-3")


@pytest.fixture
async def ledger(postgres_url: str) -> AsyncIterator[Ledger]:
    async with Ledger.open(postgres_url, node=NODE) as opened:
        yield opened


async def connected(ledger: Ledger, *otomo_ids: str, so: bool = True) -> None:
    await asyncio.gather(*(ledger.set_connected(Person("otomo", one), connected=so) for one in otomo_ids))


async def told(ledger: Ledger, *otomo_ids: str, offline_after_ms: int = 0, every_ms: int = 0) -> list[Told]:
    """What is found to be told of each, when all are looked at together."""
    asked = (ledger.tell_status(one, offline_after_ms=offline_after_ms, every_ms=every_ms) for one in otomo_ids)
    return list(await asyncio.gather(*asked))


def words(found: list[Told]) -> list[str]:
    return [json.decode(event.payload, type=OtomoStatus).status for one in found for event in one.events]


async def test_each_otomo_is_told_of_once_however_many_are_looked_at_together(ledger: Ledger) -> None:
    await connected(ledger, *OTOMOS[:2])
    await open_call(ledger, matched_call("call", "user", OTOMOS[1]))
    found = await told(ledger, OTOMOS[0], *OTOMOS, OTOMOS[0])
    assert [len(one.events) for one in found] == [1, 0, 1, 0, 0]  # of the third everybody knows that it is not there
    assert words(found) == ["online", "busy"]
    assert await told(ledger, *OTOMOS) == [Told()] * 3


async def test_offline_is_told_of_each_only_after_a_while_without_a_socket(ledger: Ledger) -> None:
    await connected(ledger, *OTOMOS)
    await told(ledger, *OTOMOS)
    await connected(ledger, *OTOMOS[1:], so=False)
    assert await told(ledger, *OTOMOS, offline_after_ms=60_000) == [Told()] * 3
    await connected(ledger, OTOMOS[1])
    assert words(await told(ledger, *OTOMOS)) == ["offline"]  # of the third alone
    assert [await ledger.is_connected(Person("otomo", one)) for one in OTOMOS] == [True, True, False]


async def test_what_may_not_be_told_yet_says_for_how_long(ledger: Ledger) -> None:
    await connected(ledger, *OTOMOS)
    await told(ledger, OTOMOS[0])
    await connected(ledger, OTOMOS[0], so=False)
    early, first, _ = await told(ledger, *OTOMOS, every_ms=60_000)
    assert early.events == ()
    assert 0 < early.wait_ms <= 60_000
    assert (len(first.events), first.wait_ms) == (1, 0)


async def test_users_who_leave_are_forgotten_at_once_and_on_their_node_alone(ledger: Ledger, postgres_url: str) -> None:
    user = Person("user", "user")
    async with Ledger.open(postgres_url, node="another") as elsewhere:
        for one in (ledger, elsewhere):
            await one.set_connected(user, connected=True)
        await ledger.set_connected(user, connected=False)
        assert await ledger.is_connected(user)
        await elsewhere.set_connected(user, connected=False)
        assert not await ledger.is_connected(user)
