"""WebSocket messages: commands in, answers and events out."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from msgspec.structs import replace

from schemas.base import dump, load, parse
from schemas.call import CallAck, CallRequest
from schemas.problem import InvalidBody
from schemas.signaling import (
    COMMANDS,
    EVENTS,
    CallCommand,
    CallTick,
    CommandType,
    Envelope,
    EventType,
    Failure,
    Ping,
    Pong,
    Reply,
)
from schemas.types import iso

NOW = iso(1738324800500)


def test_the_tables_have_every_type() -> None:
    assert set(COMMANDS) == set(get_args(CommandType))
    assert set(EVENTS) == set(get_args(EventType))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ('{"type":"ping"}', Ping()),
        ('{"type":"ping","payload":{}}', Ping()),
        ('{"type":"call_request","payload":{"otomoId":"o"}}', CallRequest("o")),
        ('{"type":"call_request","payload":{"otomoId":"o","callId":"c"}}', CallRequest("o", "c")),
        ('{"type":"call_end","payload":{"callId":"c","reason":"bye"}}', CallCommand("c", "bye")),
        ('{"type":"call_accept","payload":{"callId":"c"}}', CallCommand("c")),
    ],
)
def test_commands_are_read(raw: str, expected: Any) -> None:
    envelope = parse(Envelope, raw)
    assert load(COMMANDS[envelope.type], envelope.payload) == expected


@pytest.mark.parametrize("request_id", ["r-1", "x" * 128, 0, -1, 2**53 - 1])
def test_a_request_id_is_kept_as_it_came(request_id: str | int) -> None:
    assert load(Envelope, {"type": "ping", "requestId": request_id}) == Envelope("ping", {}, request_id)
    assert dump(Reply("pong", Pong(), request_id)) == {"type": "pong", "payload": {}, "requestId": request_id}


def test_payloads_of_two_messages_are_never_the_same_object() -> None:
    assert parse(Envelope, '{"type":"ping"}').payload is not parse(Envelope, '{"type":"ping"}').payload


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("", ""),
        ("[]", ""),
        ("{}", "type"),
        ('{"type":1}', "type"),
        ('{"type":"ping","payload":[]}', "payload"),
        ('{"type":"ping","payload":null}', "payload"),
        ('{"type":"ping","extra":1}', "extra"),
        ('{"type":"ping","requestId":true}', "requestId"),
        ('{"type":"ping","requestId":1.5}', "requestId"),
        ('{"type":"ping","requestId":{}}', "requestId"),
        ('{"type":"ping","requestId":9007199254740992}', "requestId"),
        ('{"type":"ping","type":1}', "type"),
    ],
)
def test_other_messages_are_refused(raw: str, path: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        parse(Envelope, raw)
    assert caught.value.details[0].path == path


def test_a_tick_tells_the_balance_only_where_it_has_one() -> None:
    tick = CallTick(
        call_id="c",
        tick_number=1,
        charged_points=100,
        total_charged_points=100,
        duration_seconds=60,
        timestamp=NOW,
        status="ok",
    )
    assert dump(tick) == {
        "callId": "c",
        "tickNumber": 1,
        "chargedPoints": 100,
        "totalChargedPoints": 100,
        "durationSeconds": 60,
        "timestamp": "2025-01-31T12:00:00.500Z",
        "status": "ok",
    }
    assert dump(replace(tick, user_balance=0))["userBalance"] == 0


def test_answers_name_their_command_and_repeat_the_request_id() -> None:
    assert dump(Reply("call_end_ack", CallAck("c", "ended"), "r")) == {
        "type": "call_end_ack",
        "payload": {"callId": "c", "state": "ended"},
        "requestId": "r",
    }
    assert dump(Reply("error", Failure("BAD_REQUEST", "だめ", {"type": "x"}))) == {
        "type": "error",
        "payload": {"code": "BAD_REQUEST", "message": "だめ", "context": {"type": "x"}},
    }
