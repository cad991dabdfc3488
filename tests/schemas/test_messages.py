"""WebSocket messages: commands in, answers and events out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from sample_bodies import PRODUCER_ID

from schemas.base import load, parse
from schemas.call import CallAck, CallRequest
from schemas.problem import InvalidBody
from schemas.signaling import (
    COMMANDS,
    EVENTS,
    CallCommand,
    CallTick,
    CommandType,
    Envelope,
    EnvelopeSchema,
    EventType,
    Failure,
    Ping,
    ProducerEvent,
    ack_message,
    error_message,
    event_message,
    event_payload,
    pong_message,
)

NOW = datetime(2025, 1, 31, 12, 0, 0, 500_000, tzinfo=UTC)


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
    envelope = parse(EnvelopeSchema, raw)
    assert load(COMMANDS[envelope.type], envelope.payload) == expected


@pytest.mark.parametrize("request_id", ["r-1", "x" * 128, 0, -1, 2**53 - 1])
def test_a_request_id_is_kept_as_it_came(request_id: str | int) -> None:
    assert load(EnvelopeSchema, {"type": "ping", "requestId": request_id}) == Envelope("ping", {}, request_id)
    assert pong_message(request_id) == {"type": "pong", "payload": {}, "requestId": request_id}


def test_payloads_of_two_messages_are_never_the_same_object() -> None:
    assert parse(EnvelopeSchema, '{"type":"ping"}').payload is not parse(EnvelopeSchema, '{"type":"ping"}').payload


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
        ('{"type":"ping","type":"ping"}', "type"),
    ],
)
def test_other_messages_are_refused(raw: str, path: str) -> None:
    with pytest.raises(InvalidBody) as caught:
        parse(EnvelopeSchema, raw)
    assert caught.value.details[0].path == path


def test_a_tick_tells_the_balance_only_where_it_has_one() -> None:
    tick = CallTick("c", 1, 100, 100, 60, NOW, "ok")
    told = event_message("call_tick", tick, 7)
    assert told == {
        "type": "call_tick",
        "payload": {
            "callId": "c",
            "tickNumber": 1,
            "chargedPoints": 100,
            "totalChargedPoints": 100,
            "durationSeconds": 60,
            "timestamp": "2025-01-31T12:00:00.500Z",
            "status": "ok",
        },
        "seq": 7,
    }
    with_balance = CallTick("c", 1, 100, 100, 60, NOW, "ended", user_balance=0)
    assert event_payload("call_tick", with_balance)["userBalance"] == 0


def test_an_event_has_its_own_payload() -> None:
    event = ProducerEvent("c", PRODUCER_ID, "u", "user", "audio")
    assert event_payload("producer_added", event) == {
        "callId": "c",
        "producerId": PRODUCER_ID,
        "userId": "u",
        "role": "user",
        "kind": "audio",
    }
    with pytest.raises(TypeError, match="call_tick has a CallTick, not a ProducerEvent"):
        event_message("call_tick", event, 1)


def test_answers_name_their_command_and_repeat_the_request_id() -> None:
    assert ack_message("call_end", CallAck("c", "ended"), "r") == {
        "type": "call_end_ack",
        "payload": {"callId": "c", "state": "ended"},
        "requestId": "r",
    }
    assert error_message(Failure("BAD_REQUEST", "だめ", {"type": "x"}), None) == {
        "type": "error",
        "payload": {"code": "BAD_REQUEST", "message": "だめ", "context": {"type": "x"}},
    }
