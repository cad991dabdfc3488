"""The WebSocket's AsyncAPI 3.0 document, made from the schemas. Knows no socket.

A message is described as an envelope around a payload, whose schema is the one that checks it. Messages
are named ``command.<type>``, ``answer.<type>`` and ``event.<type>``, because a command and an event may share a type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from app.errors import ANSWERS
from app.signaling.limits import PATH, SOCKET_BURST, SOCKETS_PER_USER, CloseCode, Limits
from schemas.base import Answer, Body
from schemas.call import CallAck
from schemas.described import components, described
from schemas.people import StatusSet
from schemas.signaling import COMMANDS, EVENTS, MAX_SEQ, UNNUMBERED, Failure, Pong, RequestId

Json = dict[str, Any]

VERSION = "1.0.0"  # of this interface; a client breaks only where its first number changes

_CHANNEL = {"$ref": "#/channels/signaling"}
_SECURITY = [{"$ref": "#/components/securitySchemes/bearer"}]
_CLOSES = {
    CloseCode.GOING_AWAY: "the node stops; reconnect, with `since`",
    CloseCode.MESSAGE_TOO_BIG: "a message was over 64 KiB",
    CloseCode.INTERNAL_ERROR: "a mistake in the server; reconnect after a while",
    CloseCode.SERVICE_RESTART: "the node begins anew; reconnect, with `since`",
    CloseCode.TOKEN_EXPIRED: "the token's `exp` has come; reconnect with a new one",
    CloseCode.SILENT: f"nothing came for {Limits().silent_after_s:.0f} s, not even pongs; reconnect, with `since`",
    CloseCode.REPLACED: f"the user opened more than {SOCKETS_PER_USER} sockets; don't reconnect",
    CloseCode.TOO_SLOW: "the client did not read what was sent; reconnect, with `since`",
    CloseCode.TOKEN_WITHDRAWN: (
        "the token, or the key that signed it, was withdrawn; reconnect with a new one, if you get one"
    ),
    CloseCode.BANNED: "an admin keeps the person out; don't reconnect",
}


def document() -> Json:
    """The whole document, as a JSON-able dict."""
    messages = dict(all_messages())
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "voiceplane signaling", "version": VERSION, "description": introduction()},
        "defaultContentType": "application/json",
        "channels": {"signaling": channel(messages)},
        "operations": dict(operations()),
        "components": {
            "messages": messages,
            "schemas": components(CallAck, *ANSWERS_OF.values(), Failure, *COMMANDS.values(), *EVENTS.values()),
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "From a browser: the WebSocket subprotocols `bearer` and the JWT, in this order.",
                }
            },
        },
    }


def introduction() -> str:
    closes = "".join(f"\n- `{code}`: {meaning}" for code, meaning in _CLOSES.items())
    codes = ", ".join(f"`{code}`" for code in sorted({answer.code for answer in ANSWERS.values()}))
    return (
        "Commands from clients, and events about their calls. Every message is one JSON object in a text frame, with "
        "`type` and `payload`. A command may carry `requestId`, which its answer repeats; commands of one socket are "
        "done in the order in which they came. An event carries `seq`, which rises per user. A command that can't be "
        "done, and whatever is no command, is answered with `error`, and the socket stays open.\n\n"
        f"Error codes: {codes}, `INTERNAL_ERROR`.\n\nThe server closes a socket with one of these codes:{closes}"
    )


def channel(messages: Json) -> Json:
    since = {"type": "integer", "minimum": 0, "maximum": MAX_SEQ, "description": "replay the events after this `seq`"}
    return {
        "address": PATH,
        "description": (
            f"A person may have up to {SOCKETS_PER_USER} sockets; each gets every event. {SOCKET_BURST} may be opened "
            "at once, then one every 2 s unless `SOCKET_RATE` says otherwise; more are a 429 before the upgrade."
        ),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {"type": "object", "properties": {"since": since}},
                "bindingVersion": "0.1.0",
            }
        },
    }


def all_messages() -> Iterator[tuple[str, Json]]:
    """Every message by its name: commands, their answers, events."""
    numbered = {"requestId": described(RequestId)}
    for type_, payload in COMMANDS.items():
        needs_payload = any(field.required for field in msgspec.structs.fields(payload))
        required = ["type", "payload"] if needs_payload else ["type"]
        yield f"command.{type_}", message(type_, payload, numbered, required)
    for type_ in COMMANDS:
        yield f"answer.{answer_type(type_)}", message(answer_type(type_), answer_schema(type_), numbered)
    yield "answer.error", message("error", Failure, numbered)
    sequenced = {"seq": {"type": "integer", "minimum": 0, "maximum": MAX_SEQ}}
    for event, schema in EVENTS.items():
        more, required = ({}, []) if event in UNNUMBERED else (sequenced, ["seq"])
        yield f"event.{event}", message(event, schema, more, ["type", "payload", *required])


def message(type_: str, schema: type[Body | Answer], more: Json, required: list[str] | None = None) -> Json:
    payload = {"$ref": f"#/components/schemas/{schema.__name__}"}
    return {
        "name": type_,
        "payload": {
            "type": "object",
            "properties": {"type": {"const": type_}, "payload": payload, **more},
            "required": required or ["type", "payload"],
            "additionalProperties": False,
        },
    }


def operations() -> Iterator[tuple[str, Json]]:
    """The operations: what the server receives, with its replies, and what it sends unasked."""
    for type_ in COMMANDS:
        replies = named(f"answer.{answer_type(type_)}", "answer.error")
        reply = {"channel": _CHANNEL, "messages": replies}
        yield f"receive.{type_}", operation("receive", f"command.{type_}") | {"reply": reply}
    for event in EVENTS:
        yield f"send.{event}", operation("send", f"event.{event}")


def operation(action: str, name: str) -> Json:
    return {"action": action, "channel": _CHANNEL, "messages": named(name), "security": _SECURITY}


def named(*names: str) -> list[Json]:
    return [{"$ref": f"#/channels/signaling/messages/{name}"} for name in names]


def answer_type(command: str) -> str:
    return "pong" if command == "ping" else f"{command}_ack"


ANSWERS_OF: Final[Mapping[str, type[Answer]]] = {"ping": Pong, "status_set": StatusSet}  # all others: CallAck


def answer_schema(command: str) -> type[Answer]:
    """The schema of a command's answer."""
    return ANSWERS_OF.get(command, CallAck)
