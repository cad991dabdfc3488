"""The OpenAPI document: that it is valid, that it is complete, and that it says what the code does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from types import new_class
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.application import create_app
from app.errors import ANSWERS, INTERNAL_ERROR
from app.openapi.declaration import answers, declaration_of
from app.openapi.document import operations
from app.openapi.examples import EXAMPLES
from app.rest.docs import DOCUMENT
from app.settings import Settings
from schemas.base import Answer, load
from schemas.described import components
from schemas.error import ErrorBody
from schemas.producer import ProducerCreated

Json = dict[str, Any]
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture
def app(tmp_path: Path) -> web.Application:
    """Made, and never started."""
    return create_app(Settings(data_dir=tmp_path))


@pytest.fixture
def document(app: web.Application) -> Json:
    found: Json = msgspec.json.decode(app[DOCUMENT].raw)
    return found


def described(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        yield from ((method, path, item[method]) for method in METHODS & set(item))


def resolved(document: Json, part: Json) -> Json:
    """What a reference refers to, with what stands beside it."""
    if "$ref" not in part:
        return part
    found = document
    for step in part["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return found | {name: value for name, value in part.items() if name != "$ref"}


def responses(document: Json, operation: Json) -> Iterator[tuple[int, Json]]:
    for status, response in operation["responses"].items():
        yield int(status), resolved(document, response)


def test_it_is_valid_openapi_3_1(document: Json):
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_described(app: web.Application):
    missing = [
        f"{route.method} {route.resource.canonical}: give {route.handler.__name__} its @answers"
        for route in app.router.routes()
        if route.method != "*" and declaration_of(route.handler) is None
    ]
    assert not missing


def test_every_operation_has_its_prose_its_tag_and_a_name_of_its_own(document: Json):
    found = list(described(document))
    tags = {tag["name"] for tag in document["tags"]}
    assert len({operation["operationId"] for _, _, operation in found}) == len(found)
    for method, path, operation in found:
        assert operation["summary"], f"{method} {path} has no summary: give its handler a docstring"
        assert set(operation["tags"]) <= tags


def test_every_parameter_of_a_path_is_described(document: Json):
    for method, path, operation in described(document):
        declared = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"]
        assert declared == re.findall(r"\{(\w+)\}", path), f"{method} {path}"


def test_whoever_needs_a_token_is_told_so_and_nobody_else(document: Json):
    public = {path for _, path, operation in described(document) if not operation["security"]}
    assert {"/openapi.json", "/asyncapi.json", "/health/live", "/health/ready"} <= public
    for _, path, operation in described(document):
        assert ("401" in operation["responses"]) is (path not in public), path


def test_every_body_has_an_example_and_every_example_is_accepted(document: Json, app: web.Application):
    used = {schema for operation in operations(app.router) for schema in operation.schemas()}
    assert used == set(EXAMPLES)
    for schema, example in EXAMPLES.items():
        load(schema, example)


def test_every_refusal_has_an_example_of_each_of_its_codes(document: Json):
    for method, path, operation in described(document):
        for status, response in responses(document, operation):
            if status < 400 or "application/json" not in response["content"]:
                continue
            body = response["content"]["application/json"]
            if "example" in body:  # a state that is told, and no refusal
                continue
            codes = body["schema"]["properties"]["error"]["enum"]
            examples = [resolved(document, one)["value"] for one in body["examples"].values()]
            assert sorted(one["error"] for one in examples) == codes, f"{method} {path} {status}"
            assert all(load(ErrorBody, one) for one in examples)


def test_every_code_stands_under_its_own_status(document: Json):
    statuses = {answer.code: answer.status for answer in (*ANSWERS.values(), INTERNAL_ERROR)}
    seen = set()
    for _, _, operation in described(document):
        for status, response in responses(document, operation):
            schema = response.get("content", {}).get("application/json", {}).get("schema", {})
            for code in schema.get("properties", {}).get("error", {}).get("enum", ()):
                assert statuses.get(code, status) == status
                seen.add(code)
    assert set(statuses) <= seen, "a code that no endpoint is said to answer"


def test_nothing_is_described_in_vain(document: Json):
    used = set(references(document))
    for kind in ("schemas", "responses", "examples"):
        for name in document["components"][kind]:
            assert f"#/components/{kind}/{name}" in used


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner)


def test_messages_of_their_own_stand_in_the_examples(document: Json):
    not_found = document["paths"]["/rtc/producers"]["post"]["responses"]["404"]
    examples = not_found["content"]["application/json"]["examples"]
    assert examples["TRANSPORT_NOT_FOUND"]["value"]["message"] == "送信用Transportが存在しません。"


def test_it_is_made_once(app: web.Application):
    assert app[DOCUMENT].raw is app[DOCUMENT].raw


def test_a_declaration_leaves_the_handler_as_it_is():
    async def handler(_: web.Request) -> web.Response:
        return web.Response()

    assert answers({200: None})(handler) is handler


async def test_it_is_served_without_a_token(server):
    async with aiohttp.ClientSession() as http, http.get(server.url("/openapi.json")) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        assert (await response.json())["openapi"] == "3.1.0"


def test_bodies_are_as_closed_as_their_schemas(document: Json):
    schemas = document["components"]["schemas"]
    assert schemas["CreateTransportRequest"]["additionalProperties"] is False
    assert schemas["CreateTransportRequest"]["required"] == ["callId", "direction"]
    assert "additionalProperties" not in schemas["DtlsParameters"]
    assert schemas["DtlsParameters"]["properties"]["role"]["default"] == "auto"
    assert {"type": "null"} in schemas["DtlsParameters"]["properties"]["role"]["anyOf"]


def test_two_schemas_never_share_a_name():
    another = new_class("ProducerCreated", (Answer,), {"frozen": True})
    with pytest.raises(ValueError, match="both have a ProducerCreated"):
        components(ProducerCreated, another)
