"""Values as mediasoup and its clients have them in JSON: camelCase names, ``rtx: {ssrc}``, parameters as an object.

Dicts, lists and plain values, for whatever library makes text of them. What a value's fields are called, and which
limits they have, stands at the value itself; statistics and dumps are dicts already, and only their names differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar, is_typeddict

import msgspec

from worker_bridge.errors import InvalidParameters
from worker_bridge.rtp import read_hook
from worker_bridge.value import Value

T = TypeVar("T")

_PATH: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_JOINT: Final = re.compile(r"(?<=[a-z0-9])_([a-z])")
_CAPITAL: Final = re.compile(r"[A-Z]")


def to_json(value: Value | Mapping[str, Any] | Sequence[Value | Mapping[str, Any]]) -> Any:
    """``json.dumps(to_json(router.rtp_capabilities))`` is what mediasoup-client's ``Device.load`` takes. Of statistics,
    a list of them, or a list of values it makes the same."""
    return msgspec.json.decode(msgspec.json.encode(_renamed(value)))  # to_builtins would leave tuples


def from_json(kind: type[T], value: Any) -> T:
    """``from_json(RtpParameters, json.loads(text))``; fields that nobody here knows are dropped, and null counts as
    not given. ``kind`` is a value's class, or that of statistics.

    Raises InvalidParameters where a field is missing, of another type or out of its range, with its path.
    """
    given = _given(value)
    if is_typeddict(kind) and isinstance(given, dict):
        given = _snake(given)
    try:
        return msgspec.convert(given, kind, dec_hook=read_hook)
    except msgspec.ValidationError as error:
        raise InvalidParameters(_with_path(str(error), kind)) from None


def _renamed(value: Any) -> Any:
    """What is None is left out, as in a value."""
    if isinstance(value, Mapping):
        return {_camel(name): _renamed(member) for name, member in value.items() if member is not None}
    return [_renamed(member) for member in value] if isinstance(value, list | tuple) else value


def _camel(name: object) -> str:
    return _JOINT.sub(lambda joint: joint[1].upper(), str(name))


def _snake(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {_CAPITAL.sub(lambda capital: f"_{capital[0].lower()}", name): _snake(one) for name, one in value.items()}


def _given(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _given(member) for name, member in value.items() if member is not None}
    return [_given(member) for member in value] if isinstance(value, list) else value


def _with_path(problem: str, kind: type) -> str:
    """``Expected `int` - at `$.codecs[0].channels` `` as the checks say it: ``codecs.0.channels: expected int``."""
    found = _PATH.search(problem)
    path = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", found["path"]) if found else kind.__name__
    said = _PATH.sub("", problem).replace("`", "")
    return f"{path}: {said[:1].lower()}{said[1:]}"
