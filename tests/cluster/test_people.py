"""What is decided of people at one node is so at the others within a second, and at one that starts later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from tests.cluster.member import Members
from tests.conftest import eventually
from tests.crash.killed_node import Node
from voiceplane.client import Voiceplane
from voiceplane.client.errors import ClientError, Refused

WITHIN_S = 1.0
CALL = "call"

pytestmark = pytest.mark.timeout(180)


async def code_at(
    node: Node, http: aiohttp.ClientSession, user_id: str, role: str, method: str, path: str, body: Any = None
) -> str:
    """What the node answers: a code, or OK."""
    try:
        await node.api(http, user_id, role).request(method, path, body)
    except Refused as error:
        return error.code
    return "OK"


async def lasted(code: Callable[[], Awaitable[str]], wanted: str) -> float:
    """The seconds until that is answered."""
    began = time.monotonic()

    async def why_not() -> str:
        found = await code()
        return "" if found == wanted else found

    await eventually(why_not)
    took = time.monotonic() - began
    print(f"{wanted} after {1000 * took:.0f} ms")
    return took


async def test_what_is_decided_at_one_node_is_so_at_the_other(member: Members, http: aiohttp.ClientSession) -> None:
    async with member.pair() as (one, two):
        root = one.api(http, "root", "admin")
        await two.api(http, "root", "admin").open_call(CALL, "user", "otomo", price_per_minute=0)
        async with (
            Voiceplane(two.base, two.token("user", "user")) as user,
            Voiceplane(one.base, one.token("otomo", "otomo")) as otomo,
            Voiceplane(two.base, two.token("bob", "user")) as bob,
        ):
            closed: list[ClientError | None] = []
            await eventually(lambda: user.otomos.get("otomo") != "busy" and f"{dict(user.otomos)}")
            user.on("state", lambda told: closed.append(told.code) if told.state == "closed" else None)
            await root.request("PUT", "/admin/users/user/user/ban", {"reason": "spam"})
            took = await lasted(lambda: code_at(two, http, "user", "user", "GET", "/calls"), "BANNED")
            assert took < WITHIN_S
            await eventually(lambda: closed != ["BANNED"] and f"closed with {closed}")

            async def ended() -> str:
                call = await root.patiently("GET", f"/calls/{CALL}", for_s=5.0)  # a 503 where it ends just now
                return "" if call["endReason"] == "banned" else str(call["state"])

            await eventually(ended)

            await eventually(lambda: bob.otomos.get("otomo") != "online" and f"{dict(bob.otomos)}")
            await otomo.set_status("away")
            asked = {"otomoId": "otomo", "callId": "u_call"}
            assert (
                await lasted(lambda: code_at(two, http, "bob", "user", "POST", "/calls", asked), "OTOMO_OFFLINE")
                < WITHIN_S
            )
            await eventually(lambda: bob.otomos.get("otomo") != "away" and f"{dict(bob.otomos)}")
            await one.api(http, "otomo", "otomo").request("PUT", "/me/blocks/user/bob")
            assert (
                await lasted(lambda: code_at(two, http, "bob", "user", "POST", "/calls", asked), "BLOCKED") < WITHIN_S
            )
            await eventually(lambda: "otomo" in bob.otomos and f"{dict(bob.otomos)}")

            await asyncio.sleep(1)  # a token of the same second is as old as the revocation
            fresh = two.token("bob", "user")
            await root.request("POST", "/admin/users/user/bob/revoke")

            async def answered() -> str:
                headers = {"Authorization": f"Bearer {fresh}"}
                async with http.get(f"{two.base}/calls", headers=headers) as answer:
                    return str(answer.status)

            assert await lasted(answered, "401") < WITHIN_S

            async with member("three") as three:
                assert await code_at(three, http, "user", "user", "GET", "/calls") == "BANNED"
                await otomo.set_status("available")
                async with Voiceplane(three.base, three.token("cora", "user")) as cora:
                    await eventually(lambda: cora.otomos.get("otomo") != "online" and f"{dict(cora.otomos)}")
                    await asyncio.sleep(1)
                    assert await code_at(three, http, "bob", "user", "POST", "/calls", asked) == "BLOCKED"
                await root.request("DELETE", "/admin/users/user/user/ban")
                assert await lasted(lambda: code_at(three, http, "user", "user", "GET", "/calls"), "OK") < WITHIN_S
