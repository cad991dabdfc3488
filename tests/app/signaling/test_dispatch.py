"""Commands and their answers; whatever else is sent is answered with ``error``, and the socket stays open."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import ANSWERS
from app.signaling.commands import build_commands
from schemas.signaling import COMMANDS
from tests.app.signaling.signaling_node import Node, ask, next_message, serving

END_OF_C = {"type": "call_end", "callId": "c"}
MESSAGES = {answer.code: answer.message for answer in ANSWERS.values()}


@pytest.fixture
async def ann(node: Node) -> AsyncIterator[ClientWebSocketResponse]:
    socket = await node.connect("ann", "user")
    yield socket
    await socket.close()


@pytest.fixture
async def bob(node: Node) -> AsyncIterator[ClientWebSocketResponse]:
    socket = await node.connect("bob", "otomo")
    yield socket
    await socket.close()


async def say(socket: ClientWebSocketResponse, text: str) -> Any:
    await socket.send_str(text)
    return await next_message(socket)


def error(code: str, request_id: object = None, **context: Any) -> dict[str, Any]:
    payload = {"code": code, "message": MESSAGES[code], "context": context}
    return {"type": "error", "payload": payload} | ({} if request_id is None else {"requestId": request_id})


def ack(command: str, call_id: str, state: str) -> dict[str, Any]:
    return {"type": f"{command}_ack", "payload": {"callId": call_id, "state": state}}


def test_every_command_of_the_schemas_is_in_the_table(node: Node) -> None:
    commands = build_commands(node.desk, node.desk.set_status)
    assert {name: command.payload for name, command in commands.items()} == dict(COMMANDS)


async def test_a_call_is_requested_accepted_and_ended(
    node: Node, ann: ClientWebSocketResponse, bob: ClientWebSocketResponse
) -> None:
    assert await ask(ann, "call_request", otomoId="bob", callId="c1") == ack("call_request", "c1", "ringing")
    assert await ask(bob, "call_accept", callId="c1") == ack("call_accept", "c1", "matched")
    assert await ask(ann, "call_end", callId="c1", reason="さようなら") == ack("call_end", "c1", "ended")
    assert node.desk.reasons == ["さようなら"]


async def test_a_call_is_rejected_or_cancelled(
    node: Node, ann: ClientWebSocketResponse, bob: ClientWebSocketResponse
) -> None:
    first = await ask(ann, "call_request", otomoId="bob")
    call_id = first["payload"]["callId"]
    assert await ask(bob, "call_reject", callId=call_id, reason="later") == ack("call_reject", call_id, "ended")
    await ask(ann, "call_request", otomoId="bob", callId="c2")
    assert await ask(ann, "call_cancel", callId="c2") == ack("call_cancel", "c2", "ended")
    assert node.desk.reasons == ["later", None]


async def test_ping_is_answered_with_pong(ann: ClientWebSocketResponse) -> None:
    assert await ask(ann, "ping") == {"type": "pong", "payload": {}}
    assert await say(ann, '{"type":"ping"}') == {"type": "pong", "payload": {}}


@pytest.mark.parametrize("request_id", ["r-1", "x" * 128, "番号", 0, -1, 2**53 - 1])
async def test_a_request_id_is_repeated_by_ack_pong_and_error(ann: ClientWebSocketResponse, request_id: object) -> None:
    assert (await ask(ann, "ping", request_id))["requestId"] == request_id
    assert (await ask(ann, "call_request", request_id, otomoId="bob"))["requestId"] == request_id
    assert (await ask(ann, "call_end", request_id, callId="none"))["requestId"] == request_id
    assert (await ask(ann, "nonsense", request_id))["requestId"] == request_id
    refused = await say(ann, msgspec.json.encode({"type": "ping", "more": 1, "requestId": request_id}).decode())
    assert (refused["type"], refused["requestId"]) == ("error", request_id)


@pytest.mark.parametrize("request_id", ['""', '"' + "x" * 129 + '"', "true", "1.5", "[1]", "{}", "9007199254740992"])
async def test_a_request_id_that_is_none_is_an_error_and_not_repeated(
    ann: ClientWebSocketResponse, request_id: str
) -> None:
    refused = await say(ann, f'{{"type":"ping","requestId":{request_id}}}')
    assert [one["path"] for one in refused["payload"]["context"]["details"]] == ["requestId"]
    assert "requestId" not in refused


async def test_what_the_service_refuses_is_answered_by_the_table(
    ann: ClientWebSocketResponse, bob: ClientWebSocketResponse
) -> None:
    assert await ask(ann, "call_request", 7, otomoId="nobody") == error("OTOMO_OFFLINE", 7, type="call_request")
    assert await ask(ann, "call_end", callId="c9") == error("CALL_NOT_FOUND", type="call_end", callId="c9")
    await ask(ann, "call_request", otomoId="bob", callId="c1")
    assert await ask(ann, "call_accept", callId="c1") == error("FORBIDDEN", type="call_accept", callId="c1")
    assert await ask(ann, "call_end", callId="c1") == error("INVALID_CALL_STATE", type="call_end", callId="c1")
    assert await ask(bob, "call_request", otomoId="ann") == error("FORBIDDEN", type="call_request")
    assert await ask(bob, "call_accept", callId="c1") == ack("call_accept", "c1", "matched")


async def test_a_mistake_of_ours_is_logged_whole_and_answered_with_its_number(
    ann: ClientWebSocketResponse, caplog: pytest.LogCaptureFixture
) -> None:
    refused = await ask(ann, "call_end", 1, callId="broken")
    error_id = refused["payload"]["context"].pop("errorId")
    assert refused["payload"] == {
        "code": "INTERNAL_ERROR",
        "message": "サーバー内部でエラーが発生しました。",
        "context": {"type": "call_end", "callId": "broken"},
    }
    assert "a mistake of ours" not in msgspec.json.encode(refused).decode()
    (record,) = [one for one in caplog.records if one.name == "app.signaling.dispatch"]
    assert record.__dict__["error_id"] == error_id
    assert "a mistake of ours" in caplog.text
    assert (await ask(ann, "ping"))["type"] == "pong"


@pytest.mark.parametrize(
    ("text", "path", "context"),
    [
        ("", "", {}),
        ("{", "", {}),
        ("null", "", {}),
        ("[]", "", {}),
        ('"ping"', "", {}),
        ("{}", "type", {}),
        ('{"type":1}', "type", {}),
        ('{"type":"' + "x" * 65 + '"}', "type", {}),
        ('{"type":"nonsense"}', "type", {"type": "nonsense"}),
        ('{"type":"ping","type":"nonsense"}', "type", {"type": "nonsense"}),
        ('{"type":"\\ud800"}', "", {}),
        ('{"type":"ping","payload":{"x":"\\udfff"}}', "", {}),
        ('{"type":"ping","payload":NaN}', "", {}),
        ('{"type":"ping","payload":' + "[" * 40 + "]" * 40 + "}", "payload", {"type": "ping"}),
        ('{"type":"ping","payload":' + "[" * 20_000 + "]" * 20_000 + "}", "", {}),
        ('{"type":"ping","payload":null}', "payload", {"type": "ping"}),
        ('{"type":"ping","payload":[]}', "payload", {"type": "ping"}),
        ('{"type":"ping","payload":{"x":1}}', "payload.x", {"type": "ping"}),
        ('{"type":"ping","more":1}', "more", {"type": "ping"}),
        ('{"type":"call_end"}', "payload.callId", {"type": "call_end"}),
        ('{"type":"call_end","payload":{"callId":"no spaces"}}', "payload.callId", {"type": "call_end"}),
        ('{"type":"call_end","payload":{"callId":"c","x":1}}', "payload.x", END_OF_C),
        ('{"type":"call_end","payload":{"callId":"c","reason":7}}', "payload.reason", END_OF_C),
        ('{"type":"call_request","payload":{"otomoId":""}}', "payload.otomoId", {"type": "call_request"}),
    ],
)  # fmt: skip
async def test_what_is_no_command_is_an_error_that_says_where(
    ann: ClientWebSocketResponse, text: str, path: str, context: dict[str, str]
) -> None:
    refused = await say(ann, text)
    details = refused["payload"]["context"].pop("details")
    assert [one["path"] for one in details] == [path]
    assert details[0]["problem"]
    assert refused == error("BAD_REQUEST", **context)
    assert (await ask(ann, "ping"))["type"] == "pong"


async def test_a_binary_message_is_an_error(ann: ClientWebSocketResponse) -> None:
    await ann.send_bytes(b'{"type":"ping"}')
    details = [{"path": "", "problem": "must be a text message"}]
    assert await next_message(ann) == error("BAD_REQUEST", details=details)
    assert (await ask(ann, "ping"))["type"] == "pong"


async def test_commands_of_one_socket_are_done_in_their_order(node: Node, ann: ClientWebSocketResponse) -> None:
    node.desk.gate = asyncio.Event()
    await ann.send_str('{"type":"call_end","payload":{"callId":"c"},"requestId":1}')
    for number in range(2, 50):
        await ann.send_str(f'{{"type":"ping","requestId":{number}}}')
    event = node.publish()
    assert (await next_message(ann))["seq"] == event.seq  # events don't wait for a command
    node.desk.gate.set()
    assert [(await next_message(ann))["requestId"] for _ in range(1, 50)] == list(range(1, 50))


async def test_a_flood_is_rate_limited_per_user_and_every_message_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path, rate=5) as node:
        flooding, second, other = await node.connect(), await node.connect(), await node.connect("bob")
        for number in range(500):
            await flooding.send_str(f'{{"type":"ping","requestId":{number}}}')
        answers = [await next_message(flooding) for _ in range(500)]
        assert [answer["requestId"] for answer in answers] == list(range(500))
        assert [answer["type"] for answer in answers[:10]] == ["pong"] * 10
        refused = [answer for answer in answers if answer["type"] == "error"]
        assert len(refused) > 400
        assert refused[0] == error("RATE_LIMITED", 10, type="ping", retryAfterSeconds=1)
        assert (await ask(second, "ping"))["payload"]["code"] == "RATE_LIMITED"  # the bucket is the user's
        assert (await ask(other, "ping"))["type"] == "pong"
        for socket in (flooding, second, other):
            await socket.close()


async def test_bad_messages_count_as_requests_and_admins_are_exempt(tmp_path: Path) -> None:
    async with serving(tmp_path, rate=1) as node:
        ann, root = await node.connect(), await node.connect("root", "admin")
        codes = [(await say(ann, "nonsense"))["payload"]["code"] for _ in range(3)]
        assert codes == ["BAD_REQUEST", "BAD_REQUEST", "RATE_LIMITED"]
        await ann.send_bytes(b"binary")
        assert (await next_message(ann))["payload"]["code"] == "RATE_LIMITED"
        for _ in range(20):
            assert (await ask(root, "ping"))["type"] == "pong"
        await ann.close()
        await root.close()


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda one: st.lists(one) | st.dictionaries(st.text(), one), max_leaves=8)
PAYLOADS = JSON | st.dictionaries(st.sampled_from(["callId", "otomoId", "reason", "userId"]), JSON)
ENVELOPES = st.fixed_dictionaries(
    {"type": st.sampled_from([*COMMANDS, "error", "call_end_ack"]) | JSON},
    optional={"payload": PAYLOADS, "requestId": JSON, "seq": JSON},
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text() | JSON.map(json.dumps) | ENVELOPES.map(json.dumps))
async def test_any_text_is_answered_once_and_closes_nothing(ann: ClientWebSocketResponse, text: str) -> None:
    answer = await say(ann, text)
    assert answer["type"] in {"error", "pong"} | {f"{command}_ack" for command in COMMANDS}
    assert set(answer) <= {"type", "payload", "requestId"}
    assert (await ask(ann, "ping", "next"))["requestId"] == "next"
