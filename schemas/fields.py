"""marshmallow field types that convert nothing: each says what it accepts in one method, and how the native reader
does the same. Knows no body.

A field without ``load_default`` is required. With ``null_is_absent`` a null counts as not given, which is what
clients in typed languages send for an optional field; elsewhere null is refused. With ``empty_is_absent`` the empty
text counts as not given as well.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from math import isfinite
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

from marshmallow import ValidationError, fields, missing

from schemas._native import Reader as NativeReader
from schemas.cache import ContentCache
from schemas.problem import MAX_PROBLEMS, UNPRINTABLE

T = TypeVar("T")
Reader = Callable[[Any], T]
Plan = tuple[Any, ...]
"""What ``schemas._native`` reads or writes a value by; ``native/reader.hpp`` and ``writer.hpp`` list the kinds."""

INT32: Final = (-(2**31), 2**31 - 1)
UINT32_MAX: Final = 2**32 - 1
UUID_PATTERN: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
PRINTABLE: Final = r"^[^\x00-\x08\x0b-\x1f\x7f-\x9f]*$"  # UNPRINTABLE for JSON Schema, whose texts have no surrogates


def remembering(plan: Plan) -> Plan:
    """A plan whose results are known by their content once they were read."""
    read: Reader[Any] = NativeReader(plan, ValidationError)
    return "remembered", ContentCache(read)


class StrictField(fields.Field[T], Generic[T]):
    """Base of all our fields."""

    default_error_messages = {"required": "is required", "null": "must not be null"}  # noqa: RUF012 -- marshmallow's

    def __init__(self, *, null_is_absent: bool = False, **options: Any) -> None:
        options.setdefault("required", "load_default" not in options and not options.get("dump_only"))
        options.setdefault("allow_none", False)  # marshmallow allows it where None is the default
        super().__init__(**options)
        self.null_is_absent = null_is_absent

    @abstractmethod
    def accept(self, value: Any) -> T:
        """The value that the program works with. Raises ValidationError; ``value`` may be anything but null."""

    def write(self, value: T) -> Any:
        """The JSON-able form of an accepted value."""
        return value

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """The JSON Schema (2020-12) of what ``accept`` accepts."""

    def plan(self) -> Plan:
        """How the compiled reader reads it: by a kind of its own that does what ``accept`` does, or by ``accept``."""
        return "call", self.accept

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """A field that accepts in its own way, and says no plan of its own, is asked each time."""
        super().__init_subclass__(**kwargs)
        if "accept" in vars(cls) and "plan" not in vars(cls):
            cls.plan = StrictField.plan  # type: ignore[method-assign]

    def write_plan(self) -> Plan | None:
        """How the native writer writes it; None where a value is written as it is."""
        return None if type(self).write is StrictField.write else ("call", self.write)

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        if value is None and self.null_is_absent:
            value = missing
        return super().deserialize(value, attr, data, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> T:
        return self.accept(value)

    def _serialize(self, value: T | None, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return None if value is None else self.write(value)


class Text(StrictField[str]):
    """A string of ``at_least`` to ``at_most`` characters without control characters, optionally of one pattern."""

    def __init__(
        self,
        *,
        at_most: int,
        at_least: int = 1,
        pattern: str | None = None,
        form: str = "",
        empty_is_absent: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.at_least, self.at_most = at_least, at_most
        self.empty_is_absent = empty_is_absent
        self.pattern = pattern
        self._matches = re.compile(pattern).fullmatch if pattern else None
        self._form = form or f"of the form {pattern}"

    def accept(self, value: Any) -> str:
        if type(value) is not str:
            raise ValidationError("must be a string")
        if not self.at_least <= len(value) <= self.at_most:
            raise ValidationError(f"must have {self.at_least} to {self.at_most} characters")
        if self._matches is not None:
            if not self._matches(value):
                raise ValidationError(f"must be {self._form}")
        elif UNPRINTABLE.search(value):
            raise ValidationError("must not hold control characters")
        return value

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        return super().deserialize(missing if value == "" and self.empty_is_absent else value, attr, data, **kwargs)

    def plan(self) -> Plan:
        return super().plan() if self.pattern else ("text", self.at_least, self.at_most, "printable")

    def describe(self) -> dict[str, Any]:
        at_least = 0 if self.empty_is_absent else self.at_least
        shape = {"type": "string", "minLength": at_least, "maxLength": self.at_most}
        return shape | {"pattern": f"^{self.pattern}$" if self.pattern else PRINTABLE}


class Name(Text):
    """An identifier that others chose: 1 to 128 printable characters of any script (Unicode categories L, M, N, P
    and S), and no spaces."""

    def __init__(self, *, at_most: int = 128, **options: Any) -> None:
        super().__init__(at_most=at_most, **options)

    def accept(self, value: Any) -> str:
        text = super().accept(value)
        if not text.isprintable() or " " in text:
            raise ValidationError("must hold printable characters only, and no spaces")
        return text

    def plan(self) -> Plan:
        return "name", self.at_least, self.at_most, self.accept

    def describe(self) -> dict[str, Any]:
        """``printable`` is a name of ours: JSON Schema has no portable way to write a Unicode category."""
        return super().describe() | {"pattern": r"^\S*$", "format": "printable"}


class CallId(Text):
    """1 to 64 characters of ``A-Z a-z 0-9 _ -``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(at_most=64, pattern="[A-Za-z0-9_-]+", form="made of A-Z a-z 0-9 _ -", **options)

    def plan(self) -> Plan:
        return "text", self.at_least, self.at_most, "call_id"


class Uuid(Text):
    """The id of a transport, producer or consumer, kept as it is spelled: ids are compared as text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(at_least=36, at_most=36, pattern=UUID_PATTERN, form="a UUID", **options)

    def plan(self) -> Plan:
        return "text", self.at_least, self.at_most, "uuid"

    def describe(self) -> dict[str, Any]:
        return {"type": "string", "format": "uuid"}


class Choice(StrictField[str]):
    """One of a few words."""

    def __init__(self, *words: str, **options: Any) -> None:
        super().__init__(**options)
        self.words = words

    def accept(self, value: Any) -> str:
        if type(value) is not str or value not in self.words:
            raise ValidationError("must be " + " or ".join(f'"{word}"' for word in self.words))
        return value

    def plan(self) -> Plan:
        return "choice", self.words

    def describe(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}


def whole(value: Any) -> int | None:
    """The whole number that a JSON number is, however it is written: ``111``, ``111.0``, ``1.11e2`` (JSON Schema
    2020-12 §6.1.1). None for all else, true and false included."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and value.is_integer() else None


class Whole(StrictField[int]):
    """A whole number within bounds; 1.5, true and "1" are none."""

    def __init__(self, *, at_least: int, at_most: int, **options: Any) -> None:
        super().__init__(**options)
        self.at_least, self.at_most = at_least, at_most

    def accept(self, value: Any) -> int:
        number = whole(value)
        if number is None:
            raise ValidationError("must be a whole number")
        if not self.at_least <= number <= self.at_most:
            raise ValidationError(f"must be {self.at_least} to {self.at_most}")
        return number

    def plan(self) -> Plan:
        return "whole", self.at_least, self.at_most

    def describe(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.at_least, "maximum": self.at_most}


class Number(StrictField[float]):
    """A number from ``at_least`` on, whole or not."""

    def __init__(self, *, at_least: float = 0.0, **options: Any) -> None:
        super().__init__(**options)
        self.at_least = at_least

    def accept(self, value: Any) -> float:
        if type(value) not in (int, float) or not isfinite(value):
            raise ValidationError("must be a number")
        if value < self.at_least:
            raise ValidationError(f"must be at least {self.at_least}")
        return float(value)

    def describe(self) -> dict[str, Any]:
        return {"type": "number", "minimum": self.at_least}


class Flag(StrictField[bool]):
    """true or false; 0, 1 and "true" are neither."""

    def accept(self, value: Any) -> bool:
        if type(value) is not bool:
            raise ValidationError("must be true or false")
        return value

    def plan(self) -> Plan:
        return ("flag",)

    def describe(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Timestamp(StrictField[datetime]):
    """A moment: an aware datetime inside, ISO 8601 in UTC with milliseconds and ``Z`` outside."""

    FORM: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)

    def accept(self, value: Any) -> datetime:
        if type(value) is str and self.FORM.fullmatch(value):
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                pass  # the right form, but no moment: the sentence below is the answer to both
        raise ValidationError("must be a UTC time such as 2025-01-31T12:00:00.000Z")

    def write(self, value: datetime) -> str:
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def describe(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}


Known = Mapping[str, StrictField[Any]]
"""Fields by their names on the wire."""


class FreeObject(StrictField[dict[str, Any]]):
    """An object whose content somebody else checks, or nobody needs to (statistics). ``known`` is what can be said of
    it all the same, for the description alone."""

    def __init__(self, known: Known = MappingProxyType({}), **options: Any) -> None:
        super().__init__(**options)
        self.known = known

    def accept(self, value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise ValidationError("must be an object")
        return value

    def describe(self) -> dict[str, Any]:
        properties = {name: field.describe() for name, field in self.known.items()}
        required = [name for name, field in self.known.items() if field.required]
        shape = {"type": "object", "additionalProperties": True}
        return shape | ({"properties": properties, "required": required} if properties else {})


class ListOf(StrictField[tuple[T, ...]], Generic[T]):
    """A list of ``at_least`` to ``at_most`` things of one kind, as a tuple.

    With ``remember``, the compiled reader knows lists that it has accepted before by their content, and answers with
    the very same tuple.
    """

    def __init__(
        self, item: StrictField[T], *, at_most: int, at_least: int = 0, remember: bool = False, **options: Any
    ) -> None:
        super().__init__(**options)
        self.item = item
        self.at_least, self.at_most = at_least, at_most
        self._remember = remember

    def accept(self, value: Any) -> tuple[T, ...]:
        self._check_length(value)
        items: list[T] = []
        problems: dict[int, Any] = {}
        for index, raw in enumerate(value):
            try:
                items.append(self.item.deserialize(raw))
            except ValidationError as error:
                problems[index] = error.messages
                if len(problems) == MAX_PROBLEMS:
                    break  # more are not told anyway, and finding them costs
        if problems:
            raise ValidationError(problems)
        return tuple(items)

    def plan(self) -> Plan:
        plan = ("list", self.at_least, self.at_most, self.item.plan())
        return remembering(plan) if self._remember else plan

    def write(self, value: tuple[T, ...]) -> list[Any]:
        write_item = self.item.write
        return [write_item(item) for item in value]

    def write_plan(self) -> Plan:
        return "list", self.item.write_plan()

    def describe(self) -> dict[str, Any]:
        bounds = {"minItems": self.at_least} if self.at_least else {}
        return {"type": "array", "items": self.item.describe(), "maxItems": self.at_most} | bounds

    def _check_length(self, value: Any) -> None:
        if type(value) is not list:
            raise ValidationError("must be a list")
        if not self.at_least <= len(value) <= self.at_most:
            raise ValidationError(f"must have {self.at_least} to {self.at_most} items")
