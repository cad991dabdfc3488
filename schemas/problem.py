"""Problems of a body, each a path and a sentence, and the exception that carries them. Knows no schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import msgspec

MAX_PROBLEMS: Final = 20  # the rest would help nobody who has as many as that
MAX_PATH: Final = 200  # characters; a path repeats names that the client chose
UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # tab and line feed may stand in a text
WHOLE: Final = "_schema"  # marshmallow's key for problems of an object as a whole


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that is wrong. ``path`` is as the client spelled it (``rtpParameters.codecs.0.payloadType``), and
    empty where the body as a whole is meant; ``problem`` is English and completes "this field ..."."""

    path: Annotated[str, msgspec.Meta(max_length=MAX_PATH)]
    problem: Annotated[str, msgspec.Meta(max_length=1000)]


class InvalidBody(Exception):
    """A body that is no JSON, or not of the promised shape. ``details`` holds 1 to ``MAX_PROBLEMS`` problems."""

    def __init__(self, details: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{problem.path or 'body'} {problem.problem}" for problem in details))
        self.details = details


def refuse(problem: str, path: str = "") -> InvalidBody:
    """The exception with a single problem."""
    return InvalidBody((Problem(readable(path), problem),))


def readable(path: str) -> str:
    """A name that a client chose, shortened, and without characters that no text may hold."""
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", path[:MAX_PATH])


def flatten(messages: Mapping[Any, Any] | list[Any]) -> tuple[Problem, ...]:
    """marshmallow's nested messages (names and indexes as keys, lists of texts as leaves) as a bounded flat list."""
    found: list[Problem] = []
    for path, text in _walk(messages, ""):
        found.append(Problem(readable(path), text))
        if len(found) == MAX_PROBLEMS:
            break
    return tuple(found)


def _walk(messages: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            yield from _walk(inner, path if key == WHOLE else f"{path}.{key}" if path else str(key))
    elif isinstance(messages, list):
        for inner in messages:
            yield from _walk(inner, path)
    else:
        yield path, str(messages)
