"""The types that bodies are made of."""

from __future__ import annotations

import re
import sys
import unicodedata

import pytest

from schemas.base import load
from schemas.problem import InvalidBody
from schemas.types import VISIBLE, CallId, Timestamp, Uuid, iso


def test_a_visible_character_is_of_unicodes_letters_marks_numbers_punctuation_or_symbols() -> None:
    """Or one that this Python's Unicode does not know yet."""
    is_visible = re.compile(VISIBLE).fullmatch
    for character in map(chr, range(sys.maxunicode + 1)):
        category = unicodedata.category(character)
        if category != "Cn":
            assert bool(is_visible(character)) is (category[0] in "LMNPS"), hex(ord(character))


@pytest.mark.parametrize(
    ("kind", "text"), [(CallId, "c-1"), (Uuid, "69b2d3a1-3b88-4c5e-b4f8-073e8019c18e"), (Timestamp, iso(0))]
)
def test_a_pattern_is_of_the_whole_text(kind: type[str], text: str) -> None:
    assert load(kind, text) == text
    for wrong in (text + "\n", "\n" + text, text + " ", f"{text}\n{text}"):
        with pytest.raises(InvalidBody):
            load(kind, wrong)


def test_a_time_is_written_with_its_milliseconds_whatever_they_are() -> None:
    assert [iso(at_ms) for at_ms in (0, 1, 1738324800500)] == [
        "1970-01-01T00:00:00.000Z",
        "1970-01-01T00:00:00.001Z",
        "2025-01-31T12:00:00.500Z",
    ]
