"""Many calls opened at once, with the same few people in both roles, at three nodes (C10)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack

import aiohttp
import pytest

from tests.cluster.member import Members
from tests.cluster.proof import Proof
from tests.cluster.service import NAMES, Service
from tests.integration.ws import connected
from voiceplane.client.errors import Refused

OPENINGS, PEOPLE = 500, 24
AT_ONCE = 100  # under way, so that each is answered before its client gives up
RINGS_FOR_S = 120.0  # longer than the test
BUSY = {"CALLER_BUSY", "OTOMO_BUSY"}


@pytest.mark.timeout(180)
async def test_each_person_is_in_one_exclusive_call_however_many_are_opened_at_once(
    member: Members, http: aiohttp.ClientSession, proof: Proof
) -> None:
    chance = random.Random(1)
    async with Service.running(member, ring_timeout_s=RINGS_FOR_S) as service, AsyncExitStack() as online:
        nodes = [service.nodes[name] for name in NAMES]
        admin = nodes[0].api(http, "root", "admin")
        for number in range(PEOPLE):  # each person online as an otomo, somewhere, and with points as a user
            who, node = f"person-{number}", nodes[number % len(nodes)]
            await online.enter_async_context(connected(http, node.base, node.token(who, "otomo")))
            gift = {"amount": 1000, "reason": "gift", "idempotencyKey": who}
            await admin.request("POST", f"/admin/wallets/{who}/adjust", gift)

        under_way = asyncio.Semaphore(AT_ONCE)

        async def opens(number: int) -> str:
            user, otomo = (f"person-{one}" for one in chance.sample(range(PEOPLE), 2))
            try:
                async with under_way:
                    api = nodes[number % len(nodes)].api(http, user, "user")
                    await api.request("POST", "/calls", {"otomoId": otomo, "callId": f"u_{number}"})
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
            await admin.request("POST", f"/admin/calls/{call.id}/end")
        assert await service.rows("SELECT 1 FROM live_parties") == []
