"""What all nodes are asked at once, for whoever looks at the whole cluster. One that does not answer in time is named,
and holds up nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Generic, NamedTuple, TypeVar

import aiohttp
from msgspec import Struct

from app.cluster.forwarder import Forwarder
from app.errors import AppError
from app.ledger.nodes import Node
from app.person import Person
from schemas.base import encode, parse
from schemas.problem import InvalidBody

ANSWER_WITHIN_S = 1.0
OK = 200

T = TypeVar("T")


class Question(NamedTuple):
    """One node is asked ``method target``, with a JSON ``body`` where there is one."""

    node: Node
    method: str
    target: str
    body: Struct | None = None


class Answers(NamedTuple, Generic[T]):
    """By node, in the order of the questions; ``missing`` are the ids of those that have not answered."""

    given: tuple[tuple[Node, T], ...]
    missing: tuple[str, ...]


async def ask_each(forwarder: Forwarder, person: Person, kind: type[T], questions: Iterable[Question]) -> Answers[T]:
    """Ask on behalf of ``person``, within little more than a second. Raises nothing."""
    asked = tuple(questions)
    found = await asyncio.gather(*(answer(forwarder, person, kind, one) for one in asked))
    both = tuple(zip((one.node for one in asked), found, strict=True))
    given = tuple((node, one) for node, one in both if one is not None)
    return Answers(given, tuple(node.incarnation for node, one in both if one is None))


async def answer(forwarder: Forwarder, person: Person, kind: type[T], question: Question) -> T | None:
    """None where there is none that can be read, as one of a release to come."""
    node, method, target, body = question
    text = b"" if body is None else encode(body)
    headers = {"Content-Type": "application/json"} if text else {}
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            answered = await forwarder.ask(node, method, target, text, headers, person)
        return parse(kind, answered.body) if answered.status == OK else None
    except (AppError, aiohttp.ClientError, TimeoutError, InvalidBody):
        return None
