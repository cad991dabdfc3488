"""How a setting's value is found in the environment or in ``.env``, and read from its text. Knows no setting."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PREFIX = "VOICEPLANE_"
ALIASES = {"jwt_secret": "JWT_SECRET", "worker_bin": "MEDIASOUP_WORKER_BIN"}  # names that other tools use for the same
LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")


class SettingsError(Exception):
    """A setting that can't work; the text is one sentence for whoever starts the node."""


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def seconds(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in words(text))


def places(text: str) -> tuple[str, ...]:
    """As ``words``, but keeps an empty one that stands before others, because the order counts."""
    return tuple(word.strip() for word in text.rstrip(", ").split(","))


def on_or_off(text: str) -> bool:
    return {"on": True, "off": False}[text.lower()]


KINDS: dict[Callable[[str], Any], str] = {int: "a whole number", float: "a number", on_or_off: "on or off"}


def parse(name: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except (ValueError, KeyError):
        kind = KINDS.get(read, "a value")
        raise SettingsError(f"{variable(name)} must be {kind}, not {text!r}.") from None


def look_up(name: str, sources: list[Mapping[str, str]]) -> str | None:
    """The setting's value in the first source that has it, by either of its names; an empty one counts as not set."""
    for source in sources:
        for key in (variable(name), ALIASES.get(name, "")):
            if text := source.get(key, "").strip():
                return text
    return None


def variable(name: str) -> str:
    return PREFIX + name.upper()


def nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name.upper(), [variable(one) for one in known], n=1)
    return f", did you mean {close[0]}?" if close else ""


def read_dotenv(path: Path) -> dict[str, str]:
    """``NAME=value`` lines; ``#`` comments, ``export`` and quotes as in shells, but without substitution."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}.") from error
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise SettingsError(f"{path} line {number} is not NAME=value.")
        found[match["name"]] = unquoted(match["value"], f"{path} line {number}")
    return found


def unquoted(value: str, where: str) -> str:
    """A value without its quotes, or without the comment that follows an unquoted one."""
    if value[:1] in {'"', "'"}:
        inner, closing, rest = value[1:].partition(value[0])
        if not closing or (rest.strip() and not rest.strip().startswith("#")):
            raise SettingsError(f"{where} has a quote that is not closed.")
        return inner
    return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
