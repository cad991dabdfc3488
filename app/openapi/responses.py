"""Responses of the OpenAPI document: answers, and refusals, which all have the same error body.

The schema of a refusal lists its codes, so that a client or a test can see whether a code was promised.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from msgspec.structs import replace

from app.errors import (
    ANSWERS,
    INTERNAL_ERROR,
    Answer,
    PayloadTooLarge,
    RateLimited,
    Unauthorized,
    UnsupportedMediaType,
    answer_to,
)
from app.openapi.declaration import Content, Refusal
from app.openapi.examples import EXAMPLES, PROBLEM
from schemas.base import dump
from schemas.error import ErrorBody

Json = dict[str, Any]

JSON: Final = "application/json"
EVERYWHERE: Final[tuple[Refusal, ...]] = (
    Unauthorized,
    PayloadTooLarge,
    UnsupportedMediaType,
    RateLimited,
    INTERNAL_ERROR,
)
"""Refusals that are alone at their status and the same everywhere: described once."""

USUAL: Final = frozenset((*ANSWERS.values(), INTERNAL_ERROR))
"""Answers whose examples are shared, under their codes."""

HEADERS: Final[Mapping[int, Mapping[str, Json]]] = {
    401: {"WWW-Authenticate": {"description": "`Bearer`, with `error` where a token was given (RFC 6750 §3)"}},
    426: {"Upgrade": {"description": "`websocket`"}},
    429: {"Retry-After": {"description": "whole seconds"}},
    500: {"X-Request-Id": {"description": "by which the server's log can be searched"}},
    503: {"Retry-After": {"description": "whole seconds"}},
}


def answered(status: int, content: Content) -> Json:
    """The response of a status that is no refusal."""
    response: Json = {"description": HTTPStatus(status).phrase}
    if isinstance(content, tuple):
        free = {media: {"schema": {"type": "object" if media == JSON else "string"}} for media in content}
        return response | {"content": free}
    if content is None:
        return response
    return response | {"content": {JSON: {"schema": content.__name__, "example": EXAMPLES[content]}}}


def refused(refusals: Iterable[Refusal]) -> Json:
    """The response of one status, for all refusals that have it."""
    answers = {answer_of(refusal): meaning_of(refusal) for refusal in refusals}
    codes = sorted({answer.code for answer in answers})
    body = {
        "schema": {
            "$ref": f"#/components/schemas/{ErrorBody.__name__}",
            "properties": {"error": {"enum": codes}},
        },
        "examples": {answer.code: example_of(answer) for answer in answers},
    }
    response: Json = {
        "description": "\n".join(f"* `{answer.code}`: {meaning}" for answer, meaning in answers.items()),
        "content": {JSON: body},
    }
    status = next(iter(answers)).status
    headers = {name: {**about, "schema": {"type": "string"}} for name, about in HEADERS.get(status, {}).items()}
    return response | ({"headers": headers} if headers else {})


def answer_of(refusal: Refusal) -> Answer:
    if isinstance(refusal, Answer):
        return refusal
    return answer_to(refusal) if isinstance(refusal, Exception) else answer_of_type(refusal)


def answer_of_type(error: type[Exception]) -> Answer:
    """The answer to an error's type; that of its base where it has none, as in ``answer_to``."""
    return next(ANSWERS[kind] for kind in error.__mro__ if kind in ANSWERS)


def meaning_of(refusal: Refusal) -> str:
    """The first clause of the error class's docstring; the status's name where there is no class."""
    if isinstance(refusal, Answer):
        return HTTPStatus(refusal.status).phrase
    kind = refusal if isinstance(refusal, type) else type(refusal)
    return re.split(r"[.;](?:\s|$)", inspect.getdoc(kind) or "")[0].replace("\n", " ").replace("``", "`")


def example_of(answer: Answer) -> Json | str:
    return answer.code if answer in USUAL else error_example(answer)


def error_example(answer: Answer) -> Json:
    body = replace(answer.body, details=(PROBLEM,)) if answer.status == 400 else answer.body
    return {"value": dump(body)}


def response_name(refusal: Refusal) -> str:
    return answer_of(refusal).code
