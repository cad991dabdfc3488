"""What handlers declare for the API's description: their answers, their refusals and their query parameters.

The rest is known already: method and path from the route, the body from ``@body``, the text from the docstring. A
declaration does not change how a handler runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from app.errors import Answer
from schemas.base import Answer as AnswerBody

Handler = TypeVar("Handler", bound=Callable[..., Any])

Content = type[AnswerBody] | tuple[str, ...] | None
"""A JSON body, by its Struct; another body, by its media types; or no body."""

Refusal = type[Exception] | Exception | Answer
"""An error with an answer in the table of ``app.errors``; an instance where its answer depends on it."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a query or a path, in the wire's spelling."""

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
    """Declare a handler's answers by status, and its own refusals.

    Left out, because they are the same everywhere: what the middleware and ``@body`` refuse, FORBIDDEN of endpoints for
    admins, and 500.
    """

    def declare(handler: Handler) -> Handler:
        handler.__dict__["declaration"] = Declaration(by_status, refusals, query)
        return handler

    return declare


def declaration_of(handler: object) -> Declaration | None:
    """What ``@answers`` declared of a handler."""
    found: Declaration | None = getattr(handler, "declaration", None)
    return found
