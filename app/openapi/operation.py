"""One endpoint of the OpenAPI document, made from its route, its decorators and its docstring."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.errors import (
    INTERNAL_ERROR,
    BadRequest,
    Banned,
    Forbidden,
    PayloadTooLarge,
    RateLimited,
    Unauthorized,
    UnsupportedMediaType,
)
from app.http.body import body_of
from app.http.middleware import is_admin_only, is_public
from app.openapi.declaration import Declaration, Parameter, Refusal
from app.openapi.examples import EXAMPLES
from app.openapi.responses import EVERYWHERE, JSON, answer_of, answered, refused, response_name
from app.openapi.texts import PATH_PARAMETERS, tag_of
from schemas.base import Answer, Body, camel_case
from schemas.described import described as shape_of

Json = dict[str, Any]

SENTENCE = re.compile(r"(?<=[.?]) ")
PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Operation:
    """``route`` is the path as the router has it, with its parameters in snake_case."""

    method: str
    route: str
    handler: Any
    declaration: Declaration

    @property
    def path(self) -> str:
        return PARAMETER.sub(lambda found: "{" + camel_case(found[1]) + "}", self.route)

    @property
    def body(self) -> type[Body] | None:
        return body_of(self.handler)

    def schemas(self) -> Iterator[type[Body | Answer]]:
        """The schemas of its body and its answers."""
        if self.body is not None:
            yield self.body
        yield from (one for one in self.declaration.answers.values() if isinstance(one, type))

    def described(self) -> Json:
        summary, more = prose(inspect.getdoc(self.handler) or "")
        described: Json = {
            "operationId": camel_case(self.handler.__name__),
            "tags": [tag_of(self.route).name],
            "summary": summary,
            "security": [] if is_public(self.handler) else [{"bearer": []}],
            "responses": self.responses(),
        }
        optional = {
            "description": more,
            "parameters": list(self.parameters()),
            "requestBody": self.request_body(),
        }
        return described | {name: value for name, value in optional.items() if value}

    def parameters(self) -> Iterator[Json]:
        for name in PARAMETER.findall(self.route):
            yield parameter("path", PATH_PARAMETERS[name]) | {"required": True}
        for one in self.declaration.query:
            yield parameter("query", one)

    def request_body(self) -> Json | None:
        if self.body is None:
            return None
        content = {"schema": self.body.__name__, "example": EXAMPLES[self.body]}
        return {"required": not self.body.empty_body, "content": {JSON: content}}

    def responses(self) -> Json:
        """The responses by status. Refusals that are the same everywhere are references."""
        by_status: defaultdict[int, list[Refusal]] = defaultdict(list)
        for refusal in self.refusals():
            by_status[answer_of(refusal).status].append(refusal)
        described = {
            str(status): response_name(found[0]) if found[0] in EVERYWHERE else refused(found)
            for status, found in sorted(by_status.items())
        }
        answers = {str(status): answered(status, content) for status, content in self.declaration.answers.items()}
        return answers | described

    def refusals(self) -> Iterator[Refusal]:
        """What the handler raises, and what the middleware and ``@body`` refuse."""
        yield from self.declaration.refusals
        if not is_public(self.handler):
            yield from (Unauthorized, Banned, RateLimited)
            if is_admin_only(self.handler):
                yield Forbidden
        if self.body is not None:
            yield from (BadRequest, UnsupportedMediaType)
        elif self.declaration.query:
            yield BadRequest
        if self.method != "get":
            yield PayloadTooLarge
        yield INTERNAL_ERROR


def prose(docstring: str) -> tuple[str, str]:
    """A docstring's first sentence, without its full stop, and the rest."""
    first, *rest = docstring.replace("``", "`").split("\n\n")
    summary, *more = SENTENCE.split(" ".join(first.split()), maxsplit=1)
    return summary.removesuffix("."), "\n\n".join((*more, *rest))


def parameter(place: str, one: Parameter) -> Json:
    described: Json = {"name": one.name, "in": place, "description": one.meaning, "schema": shape_of(one.kind)}
    return described if one.example is None else described | {"example": one.example}
