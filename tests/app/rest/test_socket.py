"""Before the upgrade: who gets in, how, and what the others are told. After the node's end: nothing."""

from __future__ import annotations

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSServerHandshakeError

from app.person import Person
from app.signaling.limits import SOCKET_BURST, CloseCode, Limits
from tests.app.signaling.signaling_node import Node, RawClient, ask, close_code, next_message, serving

HANDSHAKE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}


async def refusal(node: Node, path: str = "/ws", **headers: str) -> tuple[int, dict[str, Any], Any]:
    async with node.session.get(node.base + path, headers=HANDSHAKE | headers) as response:
        return response.status, await response.json(), response.headers


async def test_the_authorization_header_lets_in(node: Node) -> None:
    socket = await node.connect()
    assert (await ask(socket, "ping"))["type"] == "pong"
    assert socket.protocol is None
    await socket.close()


async def test_the_subprotocol_pair_lets_in_and_the_token_is_not_echoed(node: Node) -> None:
    token = node.token()
    socket = await node.session.ws_connect(f"{node.base}/ws", protocols=("bearer", token))
    assert (await ask(socket, "ping"))["type"] == "pong"
    assert socket.protocol == "bearer"
    assert token not in str(socket._response.headers)
    await socket.close()


async def test_no_compression_is_agreed_on(node: Node) -> None:
    socket = await node.connect(compress=15)
    assert not socket.compress
    await socket.close()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YTpi"},
        {"Sec-WebSocket-Protocol": "bearer"},
        {"Sec-WebSocket-Protocol": "bearer, nonsense"},
        {"Sec-WebSocket-Protocol": "bearer, a, b"},
    ],
)
async def test_a_bad_token_is_401_with_the_body_of_rest(node: Node, headers: dict[str, str]) -> None:
    status, body, answered = await refusal(node, **headers)
    assert (status, body) == (401, {"error": "UNAUTHORIZED", "message": "認証が必要です。"})
    assert answered["WWW-Authenticate"].startswith("Bearer")
    assert not node.hub.online(Person("user", "ann"))


async def test_a_token_without_its_bearer_is_401(node: Node) -> None:
    for offered in (node.token(), f"{node.token()}, bearer"):
        status, _, _ = await refusal(node, **{"Sec-WebSocket-Protocol": offered})
        assert status == 401


@pytest.mark.parametrize("name", ["token", "access_token", "Token"])
async def test_a_valid_token_in_the_url_is_401(node: Node, name: str) -> None:
    path = f"/ws?{name}={node.token()}"
    assert (await refusal(node, path))[0] == 401
    assert (await refusal(node, path, **node.headers()))[0] == 401


async def test_a_plain_get_is_426_and_says_what_to_upgrade_to(node: Node) -> None:
    async with node.session.get(f"{node.base}/ws", headers=node.headers()) as response:
        assert response.status == 426
        assert (await response.json()) == {
            "error": "UPGRADE_REQUIRED",
            "message": "WebSocketで接続してください。",
        }
        assert response.headers["Upgrade"] == "websocket"
        assert response.headers["Sec-WebSocket-Version"] == "13"
    assert not node.hub.online(Person("user", "ann"))


@pytest.mark.parametrize(
    "broken", [{"Sec-WebSocket-Version": "12"}, {"Sec-WebSocket-Key": "short"}, {"Sec-WebSocket-Key": "*"}]
)
async def test_a_broken_handshake_is_426(node: Node, broken: dict[str, str]) -> None:
    assert (await refusal(node, **node.headers(), **broken))[0] == 426


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
async def test_other_methods_are_405(node: Node, method: str) -> None:
    async with node.session.request(method, f"{node.base}/ws", headers=node.headers()) as response:
        assert response.status == 405


@pytest.mark.parametrize("since", ["", "abc", "-1", "1.0", "+1", "%EF%BC%91", "9007199254740992", "1&since=2", "0x1"])
async def test_a_since_that_is_no_seq_is_400_before_the_upgrade(node: Node, since: str) -> None:
    status, body, _ = await refusal(node, f"/ws?since={since}", **node.headers())
    assert status == 400
    assert body["error"] == "BAD_REQUEST"
    assert [detail["path"] for detail in body["details"]] == ["since"]
    assert not node.hub.online(Person("user", "ann"))


async def test_401_comes_before_400_and_426(node: Node) -> None:
    assert (await refusal(node, "/ws?since=abc"))[0] == 401
    async with node.session.get(f"{node.base}/ws?since=abc") as response:
        assert response.status == 401


async def test_the_socket_closes_when_its_token_expires(tmp_path: Path) -> None:
    ahead_s = 0.0
    async with serving(tmp_path, clock=lambda: time.time() + ahead_s) as node:
        claims = await node.authenticator.authenticate(node.token())
        ahead_s = claims.expires_at - time.time() - 0.3
        socket = await node.connect()
        assert (await ask(socket, "ping"))["type"] == "pong"
        assert await close_code(socket) == CloseCode.TOKEN_EXPIRED
        assert not node.hub.online(Person("user", "ann"))


async def test_the_oldest_socket_gives_way_to_one_too_many(tmp_path: Path) -> None:
    async with serving(tmp_path, sockets_per_user=3) as node:
        sockets = [await node.connect() for _ in range(4)]
        assert await close_code(sockets[0]) == CloseCode.REPLACED
        assert node.hub.socket_count == 3
        for socket in sockets[1:]:
            assert (await ask(socket, "ping"))["type"] == "pong"
            await socket.close()


async def test_shutdown_closes_every_socket_with_1001_and_leaves_nothing(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    async with serving(tmp_path) as node:
        sockets = [await node.connect(user) for user in ("ann", "ann", "bob")]
        closing = asyncio.create_task(node.runner.cleanup())
        assert [await close_code(socket) for socket in sockets] == [CloseCode.GOING_AWAY] * 3
        async with asyncio.timeout(Limits().close_within_s):
            await closing
        assert len(node.endpoint) == 0
        assert node.hub.socket_count == 0
        assert [task for task in asyncio.all_tasks() - before if "websocket" in task.get_name()] == []


async def test_shutdown_cuts_off_who_does_not_close(tmp_path: Path) -> None:
    async with serving(tmp_path, limits=Limits(close_within_s=0.1)) as node, RawClient.connected(node) as client:
        await node.endpoint.shut_down()
        assert len(node.endpoint) == 0
        assert await client.receive() == (8, CloseCode.GOING_AWAY.to_bytes(2, "big"))


async def test_shutdown_does_not_wait_without_end_for_a_command(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, limits=Limits(close_within_s=0.1)) as node:
        node.desk.gate = asyncio.Event()
        socket = await node.connect()
        await socket.send_str('{"type":"call_end","payload":{"callId":"c"}}')
        node.publish()
        await next_message(socket)
        async with asyncio.timeout(5):
            await node.endpoint.shut_down()
        assert "because the node stops: <Connection of user ann from 127.0.0.1>" in caplog.text
        node.desk.gate.set()


async def test_what_was_published_before_the_shutdown_still_arrives(node: Node) -> None:
    socket = await node.connect()
    events = [node.publish(number=number) for number in range(5)]
    closing = asyncio.create_task(node.endpoint.shut_down())
    assert [(await next_message(socket))["seq"] for _ in events] == [event.seq for event in events]
    assert await close_code(socket) == CloseCode.GOING_AWAY
    await closing


async def test_no_socket_joins_a_node_that_stops(node: Node) -> None:
    await node.endpoint.shut_down()
    with pytest.raises(WSServerHandshakeError) as refused:
        await node.connect()
    assert refused.value.status == 503


async def test_a_client_that_vanishes_is_forgotten(node: Node) -> None:
    gone = asyncio.Event()
    node.hub.on_presence(lambda _user, online: None if online else gone.set())
    async with aiohttp.ClientSession() as session:
        socket = await session.ws_connect(f"{node.base}/ws", headers=node.headers())
        assert (await ask(socket, "ping"))["type"] == "pong"
        socket._response.connection.transport.abort()
        async with asyncio.timeout(5):
            await gone.wait()
    assert not node.hub.online(Person("user", "ann"))


async def test_sockets_can_t_be_opened_one_after_the_other_without_end(tmp_path: Path) -> None:
    async with serving(tmp_path, socket_rate=0.5) as node:
        for _ in range(SOCKET_BURST):
            await (await node.connect("ann")).close()
        status, body, answered = await refusal(node, **node.headers("ann"))
        assert (status, body["error"]) == (429, "RATE_LIMITED")
        assert 1 <= int(answered["Retry-After"]) <= 2
        await (await node.connect("bob")).close()  # another user
        for _ in range(SOCKET_BURST + 1):
            await (await node.connect("root", "admin")).close()
        assert not node.hub.online(Person("user", "ann"))
