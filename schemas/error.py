"""The error body of every refusal."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Answer
from schemas.problem import MAX_PROBLEMS, InvalidBody, Problem
from schemas.types import Prose
from worker_bridge.value import matching

__all__ = ["ErrorBody", "InvalidBody", "Problem"]

Code = Annotated[str, Meta(min_length=1, max_length=64), matching("[A-Z_]+", "made of A-Z _")]


class ErrorBody(Answer, frozen=True):
    """Why a request was refused. ``error`` is a code for programs, ``message`` a Japanese text for display;
    ``details`` come with ``BAD_REQUEST`` and ``OVERLOADED`` only."""

    error: Code
    message: Prose
    details: Annotated[tuple[Problem, ...], Meta(max_length=MAX_PROBLEMS)] | UnsetType = UNSET
