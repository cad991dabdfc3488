"""The AsyncAPI document: that its parts fit, and that it says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from app.errors import ANSWERS
from app.signaling.asyncapi import document
from app.signaling.limits import CloseCode
from schemas.signaling import COMMANDS, EVENTS

DOCUMENT = document()
# AsyncAPI 3.0.0, AsyncAPI Object: nothing else may stand there.
ALLOWED = {"asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def resolve(reference: str) -> Any:
    found: Any = DOCUMENT
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return resolve(found["$ref"]) if "$ref" in found else found


def test_it_is_json_and_made_anew_each_time() -> None:
    assert msgspec.json.decode(msgspec.json.encode(DOCUMENT)) == DOCUMENT == document()


def test_it_has_the_parts_that_asyncapi_3_demands() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(DOCUMENT["info"])
    assert set(DOCUMENT) <= ALLOWED
    for part in (DOCUMENT["channels"], DOCUMENT["operations"], *DOCUMENT["components"].values()):
        assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in part)
    for channel in DOCUMENT["channels"].values():
        assert channel["address"] == "/ws"
        assert channel["messages"]


def test_every_reference_leads_somewhere() -> None:
    found = set(references(DOCUMENT))
    assert found
    assert all(reference.startswith("#/") and resolve(reference) for reference in found)


@pytest.mark.parametrize(("name", "operation"), DOCUMENT["operations"].items())
def test_an_operation_uses_messages_of_its_channel(name: str, operation: dict[str, Any]) -> None:
    assert operation["action"] in {"send", "receive"}
    assert name.startswith(operation["action"])
    for part in (operation, *([operation["reply"]] if "reply" in operation else [])):
        # AsyncAPI 3.0.0, Operation Object: messages must refer to the channel's, not to the components directly.
        assert all(one["$ref"].startswith(f"{part['channel']['$ref']}/messages/") for one in part["messages"])


def test_every_command_and_event_is_described() -> None:
    operations = set(DOCUMENT["operations"])
    assert operations == {f"receive.{name}" for name in COMMANDS} | {f"send.{name}" for name in EVENTS}
    for command in COMMANDS:
        replies = DOCUMENT["operations"][f"receive.{command}"]["reply"]["messages"]
        names = {resolve(reply["$ref"])["name"] for reply in replies}
        assert names == {"pong" if command == "ping" else f"{command}_ack", "error"}


def test_no_message_and_no_schema_is_described_in_vain() -> None:
    used = set(references(DOCUMENT))
    components = DOCUMENT["components"]
    for kind in ("messages", "schemas", "securitySchemes"):
        assert {f"#/components/{kind}/{name}" for name in components[kind]} <= used


def test_a_message_names_its_type_and_what_else_it_must_have() -> None:
    messages = DOCUMENT["components"]["messages"]
    assert messages["command.call_end"]["payload"]["required"] == ["type", "payload"]
    assert messages["command.ping"]["payload"]["required"] == ["type"]
    assert messages["event.call_end"]["payload"]["required"] == ["type", "payload", "seq"]
    assert messages["event.call_end"]["payload"]["properties"]["type"] == {"const": "call_end"}
    assert resolve("#/components/schemas/CallEnded")["additionalProperties"] is False


def test_the_introduction_names_every_error_and_every_close_code() -> None:
    text = DOCUMENT["info"]["description"]
    assert all(f"`{answer.code}`" in text for answer in ANSWERS.values())
    assert all(f"`{int(code)}`" in text for code in CloseCode if code is not CloseCode.NORMAL)
