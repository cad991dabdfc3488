"""The REST interface as an OpenAPI 3.1 document, made of the application's routes and the schemas of the bodies.

apispec collects and links the parts; ``schemas.described`` turns schemas into JSON Schema, for this document and for
the WebSocket's. A route without a declaration is left out; a test finds such routes.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import msgspec
from aiohttp import web
from apispec import APISpec

from app.errors import ANSWERS, INTERNAL_ERROR, Answer
from app.openapi.declaration import declaration_of
from app.openapi.operation import Operation
from app.openapi.responses import EVERYWHERE, error_example, refused, response_name
from app.openapi.texts import INTRODUCTION, TAGS, TITLE, TOKEN, VERSION
from schemas.described import components
from schemas.error import ErrorBody

Json = dict[str, Any]


class Document:
    """The description of one application, made at the first request for it."""

    def __init__(self, router: web.UrlDispatcher) -> None:
        self._router = router

    @cached_property
    def raw(self) -> bytes:
        return msgspec.json.encode(document(self._router))


def document(router: web.UrlDispatcher) -> Json:
    """The whole document, as a JSON-able dict."""
    spec = APISpec(
        TITLE,
        VERSION,
        "3.1.0",
        info={"description": INTRODUCTION, "license": {"name": "ISC", "identifier": "ISC"}},
        servers=[{"url": ".", "description": "this node"}],
        tags=[{"name": tag.name, "description": tag.meaning} for tag in dict.fromkeys(TAGS.values())],
    )
    spec.components.security_scheme("bearer", dict(TOKEN))
    described = list(operations(router))
    for name, shape in components(ErrorBody, *(one for each in described for one in each.schemas())).items():
        spec.components.schema(name, shape)
    for answer in answers_by_code():
        spec.components.example(answer.code, error_example(answer))
    for refusal in EVERYWHERE:
        spec.components.response(response_name(refusal), refused([refusal]))
    for operation in described:
        spec.path(operation.path, operations={operation.method: operation.described()})
    return spec.to_dict()


def operations(router: web.UrlDispatcher) -> Iterator[Operation]:
    """All routes with a declaration. HEAD is left out: it is there wherever GET is (RFC 9110 §9.3.2)."""
    for route in router.routes():
        declaration = declaration_of(route.handler)
        if declaration is not None and route.resource is not None and route.method != "HEAD":
            yield Operation(route.method.lower(), route.resource.canonical, route.handler, declaration)


def answers_by_code() -> list[Answer]:
    return list({answer.code: answer for answer in (*ANSWERS.values(), INTERNAL_ERROR)}.values())
