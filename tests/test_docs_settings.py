"""docs/settings.md holds the settings that there are, with their defaults and the words of the command's help; and no
document names one that there is not."""

from __future__ import annotations

import re
from dataclasses import MISSING, Field, fields

import pytest

from app.settings import Settings
from app.settings_text import PREFIX
from tests.documents import DOCUMENTS, ROOT, rows, text

OF_BUILDS = {"THIN_WHEEL"}  # read where there are no settings yet
TABLE = {row[0].strip("`"): row[1] for row in rows("docs/settings.md", "Settings")}
MEANINGS = {row[0].strip("`"): row[2] for row in rows("docs/settings.md", "Settings")}


def test_the_table_has_the_settings_that_there_are():
    assert set(TABLE) == {one.name.upper() for one in fields(Settings)}


@pytest.mark.parametrize("one", fields(Settings), ids=lambda one: one.name)
def test_a_default_is_what_the_table_says(one: Field):
    said = re.fullmatch(r"`([^`]+)`", TABLE[one.name.upper()])
    assert (said[1] if said else "") == written(one.default)


@pytest.mark.parametrize("one", fields(Settings), ids=lambda one: one.name)
def test_the_table_says_what_the_command_says_and_may_go_on(one: Field):
    meaning, _, otherwise = one.metadata["means"].partition("; else ")
    assert plain(MEANINGS[one.name.upper()]).startswith(plain(meaning))
    assert plain(TABLE[one.name.upper()]).startswith(otherwise)


def plain(words: str) -> str:
    return words.replace("`", "")


def written(default: object) -> str:
    """As it would be set in the environment; nothing where it is empty, or made at a start."""
    match default:
        case None | () | "":
            return ""
        case _ if default is MISSING:
            return ""
        case bool():
            return "on" if default else "off"
        case tuple():
            return ",".join(map(str, default))
        case frozenset():
            return ",".join(sorted(default))
        case float():
            return f"{default:g}"
        case _:
            return str(default)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_variables_that_a_document_sets_are_read(name: str):
    known = {one.name.upper() for one in fields(Settings)} | OF_BUILDS
    assert set(re.findall(rf"{PREFIX}([A-Z][A-Z_]*)", text(name))) - known == set()


def test_what_builds_read_is_read():
    sources = [ROOT / "wheels" / "native_wheel.py", *(ROOT / "worker_bridge" / "native").glob("*.py")]
    assert all(any(f"{PREFIX}{name}" in path.read_text(encoding="utf-8") for path in sources) for name in OF_BUILDS)
