"""A node that is killed between a webhook's sending and the storing of its answer: its next start sends it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import pytest
from aiohttp import web

from app.settings import Settings
from app.webhooks.signing import new_secret
from tests.app.webhooks.receiver import Received, no_content, receiving
from tests.crash.killed_node import Node, started


async def adjust(node: Node, http: aiohttp.ClientSession, key: str) -> None:
    body = {"amount": 1, "reason": "gift", "idempotencyKey": key}
    await node.api(http, "root", "admin").request("POST", "/admin/wallets/alice/adjust", body)


@pytest.mark.timeout(240)  # two starts, and a lease between them
async def test_what_was_sent_and_not_stored_is_sent_again_under_its_id(
    own_settings: Callable[..., Settings], http: aiohttp.ClientSession
) -> None:
    secret = new_secret()

    async def hold(_: Received) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError("nobody waits any more")

    async with receiving(hold) as receiver:
        settings = own_settings(webhook_url=receiver.url(), webhook_secret=secret, webhook_allow_private=True)
        async with started(settings) as first:
            await adjust(first, http, "one")
            await receiver.until(1)
            await first.kill()
        receiver.answer = no_content
        async with started(settings) as second:
            await adjust(second, http, "two")
            got = await receiver.until(3, within_s=60.0)
        assert [one.data["idempotencyKey"] for one in got] == ["one", "one", "two"], "in order, and nothing is lost"
        assert got[0].id == got[1].id != got[2].id
        assert got[0].body == got[1].body
        assert all(one.verified(secret) for one in got)
