"""Values as mediasoup and its clients have them in JSON: camelCase names, ``rtx: {ssrc}``, parameters as an object.

Dicts, lists and plain values, for whatever library makes text of them. What a value's fields are called, and which
limits they have, stands at the value itself.
"""

from __future__ import annotations

import re
from typing import Any, Final, TypeVar

import msgspec

from worker_bridge.errors import InvalidParameters
from worker_bridge.rtp import read_hook
from worker_bridge.value import Value

V = TypeVar("V", bound=Value)

_PATH: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")


def to_json(value: Value) -> Any:
    """``json.dumps(to_json(router.rtp_capabilities))`` is what mediasoup-client's ``Device.load`` takes."""
    return msgspec.json.decode(msgspec.json.encode(value))  # to_builtins would leave tuples


def from_json(kind: type[V], value: Any) -> V:
    """``from_json(RtpParameters, json.loads(text))``; fields that nobody here knows are dropped, and null counts as
    not given.

    Raises InvalidParameters where a field is missing, of another type or out of its range, with its path.
    """
    try:
        return msgspec.convert(_given(value), kind, dec_hook=read_hook)
    except msgspec.ValidationError as error:
        raise InvalidParameters(_with_path(str(error), kind)) from None


def _given(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _given(member) for name, member in value.items() if member is not None}
    return [_given(member) for member in value] if isinstance(value, list) else value


def _with_path(problem: str, kind: type[Value]) -> str:
    """``Expected `int` - at `$.codecs[0].channels` `` as the checks say it: ``codecs.0.channels: expected int``."""
    found = _PATH.search(problem)
    path = re.sub(r"\[(\d+|\.\.\.)\]", r".\1", found["path"]) if found else kind.__name__
    said = _PATH.sub("", problem).replace("`", "")
    return f"{path}: {said[:1].lower()}{said[1:]}"
