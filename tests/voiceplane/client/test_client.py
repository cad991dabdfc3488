"""A client and what its server tells it, where no media is needed: by a server that says what it wants."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from voiceplane.client import SocketClosed, Voiceplane

PATIENCE_S = 10.0


async def test_what_is_told_of_otomos_and_points_is_known_and_an_event_that_is_none_ends_nothing():
    events: list[dict[str, Any]] = [
        {"type": "otomo_list", "payload": {"otomos": [{"otomoId": "hana", "status": "online"}]}, "seq": 1},
        {"type": "otomo_status", "payload": {"otomoId": "hana"}, "seq": 2},
        {"type": "unheard_of", "payload": {"what": 1}, "seq": 3},
        {"type": "otomo_status", "payload": {"otomoId": "yuki", "status": "away", "timestamp": "later"}, "seq": 4},
        {"type": "otomo_status", "payload": {"otomoId": "hana", "status": "offline"}, "seq": 5},
        {"type": "wallet_update", "payload": {"balance": 70, "reason": "call_tick", "new": []}, "seq": 6},
    ]
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def tell(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for event in events:
            await socket.send_json(event)
        async for _ in socket:
            pass
        return socket

    app = web.Application()
    app.router.add_get("/ws", tell)
    async with TestServer(app, host="127.0.0.1") as server:
        client, wallet = Voiceplane(str(server.make_url("")), "a token"), asyncio.Event()
        seen: list[dict[str, str]] = []
        client.on("otomos", lambda otomos: seen.append(dict(otomos)))
        client.on("wallet", lambda update: wallet.set() if update.balance == 70 else None)
        async with client, asyncio.timeout(PATIENCE_S):
            await wallet.wait()
    assert seen == [{"hana": "online"}, {"hana": "online", "yuki": "away"}, {"yuki": "away"}]
    [report] = reported
    assert "otomo_status" in report["message"]


async def test_nothing_can_be_asked_before_it_is_connected():
    with pytest.raises(SocketClosed) as refusal:
        await Voiceplane("http://127.0.0.1:1", "a token").call("hana")
    assert refusal.value.code == "CLOSED"
