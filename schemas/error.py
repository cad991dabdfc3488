"""The error body that every refusal has, and what makes a body refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schemas.base import ObjectOf, Schema
from schemas.fields import ListOf, Text
from schemas.problem import MAX_PATH, MAX_PROBLEMS, InvalidBody, Problem

__all__ = ["ErrorBody", "ErrorBodySchema", "InvalidBody", "Problem", "ProblemSchema"]


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """Why a request was refused. ``error`` is a code for programs, ``message`` a Japanese text for display;
    ``details`` come with ``BAD_REQUEST`` and ``OVERLOADED`` only."""

    error: str
    message: str
    details: tuple[Problem, ...] | None = None


class ProblemSchema(Schema[Problem]):
    path = Text(at_least=0, at_most=MAX_PATH)
    problem = Text(at_most=1000)


class ErrorBodySchema(Schema[ErrorBody]):
    error = Text(at_most=64, pattern="[A-Z_]+")
    message = Text(at_most=1000)
    details: Any = ListOf(ObjectOf(ProblemSchema), at_most=MAX_PROBLEMS, load_default=None)
