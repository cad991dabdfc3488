"""A WebSocket client without manners, on the node as it is wired: each message is answered once, and nothing moves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from tests.hostile.attacker import STATUS_OF, Json, Scene, Victim
from tests.schemas.wrong_bodies import NO_OBJECTS, of_no_json, of_wrong_types, places, removed

LIMIT = 64 * 1024

COMMANDS: tuple[Json, ...] = (
    {"type": "call_request", "payload": {"otomoId": "otomo_001", "callId": "u_wanted"}, "requestId": "r-1"},
    {"type": "call_accept", "payload": {"callId": "nobodys", "reason": "bye"}, "requestId": 7},
    {"type": "call_end", "payload": {"callId": "nobodys", "reason": "bye"}, "requestId": "r-2"},
    {"type": "ping", "payload": {}, "requestId": "r-3"},
)


@asynccontextmanager
async def connected(
    scene: Scene, user_id: str = "loud", role: str = "user", query: str = ""
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with scene.http.ws_connect(
        scene.server.base + "/ws" + query, headers=scene.server.headers(user_id, role), max_msg_size=0
    ) as socket:
        if role == "user":
            assert (await socket.receive_json(timeout=10))["type"] == "otomo_list"
        yield socket


async def heard(socket: aiohttp.ClientWebSocketResponse) -> Json:
    """The next answer; events of others' doings are passed over."""
    async with asyncio.timeout(10):
        while True:
            message: Json = json.loads(await socket.receive_str())
            if "seq" not in message:
                return message


async def refused(socket: aiohttp.ClientWebSocketResponse, message: str | bytes, *codes: str) -> Json:
    """Send it, and find it refused with one of these codes, in the contract's form."""
    await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_str(message))
    answer = await heard(socket)
    shown = (message[:200], answer)
    assert answer["type"] == "error", shown
    assert set(answer) <= {"type", "payload", "requestId"}, shown
    payload = answer["payload"]
    assert set(payload) == {"code", "message", "context"}, shown
    assert payload["code"] in codes, shown
    assert payload["code"] in STATUS_OF, shown
    assert not payload["message"].isascii(), shown
    return answer


async def answers_ping(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.send_str('{"type":"ping","payload":{},"requestId":"alive"}')
    assert await heard(socket) == {"type": "pong", "payload": {}, "requestId": "alive"}


async def test_messages_that_are_no_command_are_refused_and_the_socket_stays(scene: Scene) -> None:
    async with connected(scene) as socket:
        for raw in NO_OBJECTS:
            try:
                text = raw.decode()
            except UnicodeDecodeError:
                continue  # which is no text message, and the next test's
            await refused(socket, text, "BAD_REQUEST")
            await refused(socket, raw, "BAD_REQUEST")
        for raw in (b"", b"\xff", b'{"type":"ping","payload":{}}', bytes(LIMIT)):
            await refused(socket, raw, "BAD_REQUEST")
        for unknown in (
            "",
            "x",
            "call_request_ack",
            "incoming_call",
            "call_tick",
            "__proto__",
            "x" * 65,
            "ping\0",
            "PING",
        ):
            await refused(socket, json.dumps({"type": unknown, "payload": {}}), "BAD_REQUEST")
        await refused(socket, json.dumps({"type": "ping", "payload": {}, "x" * 10_000: 1}), "BAD_REQUEST")
        await answers_ping(socket)


async def test_every_field_of_every_command_is_refused_where_it_is_wrong(scene: Scene) -> None:
    missing = ("BAD_REQUEST", "CALL_NOT_FOUND", "OTOMO_OFFLINE")
    async with connected(scene) as socket:
        for command in COMMANDS:
            for path, message in of_wrong_types(command):
                if path == ("requestId",) and type(message["requestId"]) in (int, str):
                    continue
                answer = await refused(socket, json.dumps(message), "BAD_REQUEST")
                details = answer["payload"]["context"]["details"]
                assert details[0]["path"].startswith(str(path[0])), (message, details)
            for raw in of_no_json(command):
                await refused(socket, raw.decode(), "BAD_REQUEST")
            for path in places(command):
                await socket.send_str(json.dumps(removed(command, path)))
                answer = await heard(socket)
                assert answer["type"] == "pong" or answer["payload"]["code"] in missing, (path, answer)
        await answers_ping(socket)


async def test_commands_on_others_calls_are_refused_and_move_nothing(scene: Scene, victim: Victim) -> None:
    call = scene.server.registry.find(victim.call_id)
    state = call.state
    async with connected(scene, "loud") as socket, connected(scene, "loud", "otomo") as as_otomo:
        for name in ("call_accept", "call_reject", "call_cancel", "call_end"):
            for one in (socket, as_otomo):
                for call_id, code in ((victim.call_id, "FORBIDDEN"), ("nobodys", "CALL_NOT_FOUND")):
                    message = {"type": name, "payload": {"callId": call_id}, "requestId": "r"}
                    answer = await refused(one, json.dumps(message), code)
                    assert answer["requestId"] == "r"
                    assert answer["payload"]["context"] == {"type": name, "callId": call_id}
        request = {"type": "call_request", "payload": {"otomoId": "loud"}}
        await refused(socket, json.dumps(request), "INSUFFICIENT_POINTS")  # the otomo "loud" is another person
        await refused(as_otomo, json.dumps(request), "FORBIDDEN")
    assert call.state is state


async def test_a_message_of_64_kib_is_read_and_a_longer_one_closes_the_socket(scene: Scene) -> None:
    ping = '{"type":"ping","payload":{}'
    async with connected(scene) as socket:
        await socket.send_str(ping + " " * (LIMIT - len(ping) - 1) + "}")
        assert (await heard(socket))["type"] == "pong"
        await socket.send_str(ping + " " * (LIMIT - len(ping)) + "}")
        message = await socket.receive(10)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)
    async with connected(scene) as socket:
        await answers_ping(socket)


async def test_what_is_no_handshake_is_refused_before_the_upgrade(scene: Scene, victim: Victim) -> None:
    for method in ("GET", "POST"):
        answer = await victim.user(method, "/ws")
        assert answer.code in ("UPGRADE_REQUIRED", "METHOD_NOT_ALLOWED"), answer
    (await victim.user("GET", "/ws?token=x")).refused("UNAUTHORIZED")
    for query in ("?since=x", "?since=-1", "?since=", "?since=1&since=2", "?since=%00", "?since=" + "9" * 5000,
                  "?since=9007199254740992", "?since=１", "?access_token=x"):  # fmt: skip
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with connected(scene, query=query):
                pass
        assert caught.value.status == (401 if "token" in query else 400)
    for headers in ({}, {"Authorization": "Bearer x"}, {"Sec-WebSocket-Protocol": "bearer, x"}):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with scene.http.ws_connect(scene.server.base + "/ws", headers=headers):
                pass
        assert caught.value.status == 401


async def test_sockets_cut_in_the_middle_of_everything_leave_nothing(scene: Scene) -> None:
    for sent in ("", '{"type":"ping","payload":{}}', "{", '{"type":"call_request","payload":{"otomoId":"x"}}'):
        sockets = [
            await scene.http.ws_connect(
                scene.server.base + "/ws", headers=scene.server.headers(f"cut-{number}", "user")
            )
            for number in range(5)
        ]
        for socket in sockets:
            if sent:
                await socket.send_str(sent)
            await cut(socket)
    async with connected(scene) as socket:
        await answers_ping(socket)


async def cut(socket: aiohttp.ClientWebSocketResponse) -> None:
    """End the TCP connection without a Close frame."""
    assert socket._response.connection is not None
    transport: Any = socket._response.connection.transport
    transport.abort()
    while (message := await socket.receive(10)).type is WSMsgType.TEXT:
        pass  # what came before
    assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE, WSMsgType.CLOSING)


class TestWithARateLimit:
    """The limit is one for REST and commands, and comes before everything but the token."""

    @pytest.fixture
    def node_settings(self) -> dict[str, Any]:
        return {"rate_limit": 20.0}

    async def test_a_flood_is_refused_and_others_are_served(self, scene: Scene) -> None:
        flooder = scene.attacker("loud", "user")
        async with connected(scene) as socket:
            codes = []
            for number in range(200):
                await socket.send_str(json.dumps({"type": "ping", "payload": {}, "requestId": number}))
            for number in range(200):
                answer = await heard(socket)
                assert answer["requestId"] == number
                codes.append(answer["payload"].get("code", ""))
            assert set(codes) == {"", "RATE_LIMITED"}
            assert codes[:20] == [""] * 20
            answer = await refused(socket, "{", "RATE_LIMITED", "BAD_REQUEST")
            for number in range(200):
                await socket.send_str("{" * number)
            spoilt = [(await heard(socket))["payload"] for _ in range(200)]
            limited = [payload for payload in spoilt if payload["code"] == "RATE_LIMITED"]
            assert limited
            assert all(payload["context"]["retryAfterSeconds"] >= 1 for payload in limited)
            floods = await asyncio.gather(*(flooder("POST", "/rtc/producers", b"{") for _ in range(100)))
            assert {answer.code for answer in floods} <= {"RATE_LIMITED", "BAD_REQUEST"}
            assert "RATE_LIMITED" in {answer.code for answer in floods}
            # The limit comes before the size, the type and the route.
            for path, headers in (("/rtc/producers", {"Content_Type": "text/plain"}), ("/nowhere", {})):
                answers = [await flooder("POST", path, b" " * 70_000, **headers) for _ in range(5)]
                assert "RATE_LIMITED" in {answer.code for answer in answers}
        async with connected(scene, "quiet") as socket:
            await answers_ping(socket)
