"""What a handler says of itself for the description of the API: how it answers, how it refuses, what its query holds.

All else is read where it stands anyway: method and path from the route, the body from ``@body``, the prose from the
docstring. A declaration is kept beside the handler and changes nothing about how it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from app.errors import Answer
from schemas.base import Answer as AnswerBody

Handler = TypeVar("Handler", bound=Callable[..., Any])

Content = type[AnswerBody] | tuple[str, ...] | None
"""A body in JSON by its Struct, another one by its media types, or none."""

Refusal = type[Exception] | Exception | Answer
"""An error that the table of ``app.errors`` answers; an instance where its answer has a message of its own."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One name of a query or a path, as the wire spells it."""

    name: str
    kind: Any  # the type of its value, with its limits
    meaning: str
    example: str | int | None = None


@dataclass(frozen=True, slots=True)
class Declaration:
    answers: Mapping[int, Content]
    refusals: tuple[Refusal, ...]
    query: tuple[Parameter, ...]


def answers(
    by_status: Mapping[int, Content], *refusals: Refusal, query: tuple[Parameter, ...] = ()
) -> Callable[[Handler], Handler]:
    """Declare a handler's answers by status, and what else it raises than every handler of its kind does.

    Not to be named: what the middleware and ``@body`` refuse, FORBIDDEN of the admins' endpoints, and 500.
    """

    def declare(handler: Handler) -> Handler:
        handler.__dict__["declaration"] = Declaration(by_status, refusals, query)
        return handler

    return declare


def declaration_of(handler: object) -> Declaration | None:
    """What ``@answers`` left at a handler."""
    found: Declaration | None = getattr(handler, "declaration", None)
    return found
