"""A bounded memory of values that were accepted before, by their content. Knows no schema."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import orjson

T = TypeVar("T")

MAX_ENTRIES: Final = 256
MAX_BYTES: Final = 1 << 20  # of keys, all together; what they became takes about ten times that
MAX_ENTRY_BYTES: Final = 16 << 10  # a browser's whole capabilities are about 10 KiB


class ContentCache(Generic[T]):
    """A function of one JSON value which remembers what it returned, the least recently used forgotten first.

    The key is the value's canonical text. It says all: values that came out of ``wire.decode`` write equally only if
    they are equal in type, value and order (1 and 1.0 and "1" differ; NaN, which would write as null, cannot occur).
    What was returned is shared by all callers and therefore has to be immutable. A refusal is not remembered.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self._function = function
        self._known: OrderedDict[bytes, T] = OrderedDict()
        self._bytes = 0

    def __call__(self, value: Any) -> T:
        key = orjson.dumps(value)
        try:
            result = self._known[key]
        except KeyError:
            result = self._function(value)
            if len(key) <= MAX_ENTRY_BYTES:
                self._remember(key, result)
        else:
            self._known.move_to_end(key)
        return result

    def __len__(self) -> int:
        return len(self._known)

    @property
    def bytes_held(self) -> int:
        """The length of all keys together."""
        return self._bytes

    def _remember(self, key: bytes, result: T) -> None:
        self._known[key] = result
        self._bytes += len(key)
        while len(self._known) > MAX_ENTRIES or self._bytes > MAX_BYTES:
            forgotten, _ = self._known.popitem(last=False)
            self._bytes -= len(forgotten)
