"""Many calls opened at once, with the same few people in both roles, at three nodes (C10)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import aiohttp
import pytest

from tests.cluster.member import Members
from tests.cluster.proof import Proof
from tests.cluster.service import NAMES, Service
from voiceplane.client.errors import Refused

OPENINGS, PEOPLE = 500, 24
AT_ONCE = 100  # under way, so that each is answered before its client gives up
BUSY = {"CALLER_BUSY", "OTOMO_BUSY", "USER_BUSY"}


@pytest.mark.timeout(180)
async def test_each_person_is_in_one_exclusive_call_however_many_are_opened_at_once(
    member: Members, http: aiohttp.ClientSession, proof: Proof
) -> None:
    chance = random.Random(1)
    async with Service.running(member) as service:
        admins = [service.nodes[name].api(http, "root", "admin") for name in NAMES]

        under_way = asyncio.Semaphore(AT_ONCE)

        async def opens(number: int) -> str:
            user, otomo = (f"person-{one}" for one in chance.sample(range(PEOPLE), 2))
            try:
                async with under_way:
                    await admins[number % len(admins)].open_call(f"call-{number}", user, otomo, price_per_minute=0)
            except Refused as error:
                return error.code
            return "opened"

        answers = Counter(await asyncio.gather(*map(opens, range(OPENINGS))))
        books = await service.books()
        assert set(answers) <= {"opened", *BUSY}, answers
        live = [books.calls[call_id] for call_id in books.open_calls()]
        assert len(live) == len(books.calls) == answers["opened"]
        busy = Counter(person for call in live for person in call.parties)
        assert set(busy.values()) == {1}
        held = f"{len(live)} calls, {len(busy)} people, each in one; the other {OPENINGS - len(live)} refused as busy"
        proof("C10", f"{OPENINGS} openings at once, {PEOPLE} people in both roles, three nodes", held)
        for call in live:
            await admins[0].request("POST", f"/admin/calls/{call.id}/end")
        assert await service.rows("SELECT 1 FROM live_parties") == []
