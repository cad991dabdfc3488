"""The documents as tests read them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTS = ["README.md", *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md"))]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def words(markdown: str) -> set[str]:
    return set(re.findall(r"[A-Za-z0-9_.-]+", markdown))


def rows(name: str, heading: str) -> list[list[str]]:
    """The cells of each row of the tables below a heading, without the tables' own headings."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text(name), re.MULTILINE | re.DOTALL)
    assert section is not None, f"{name} has no {heading}"
    body = re.sub(r"^\|.*\n\|(?:-+\|)+\n", "", section[1], flags=re.MULTILINE)
    lines = re.findall(r"^\|(.*)\|$", body, re.MULTILINE)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)] for line in lines]


def prose(name: str) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^ *```.*?^ *```", "", text(name), flags=re.MULTILINE | re.DOTALL)


def blocks(name: str) -> list[tuple[str, str]]:
    """The language and the text of each block of code."""
    return re.findall(r"^ *```(\w*)\n(.*?)^ *```", text(name), re.MULTILINE | re.DOTALL)


def spans(name: str) -> list[str]:
    """Whatever stands in backticks."""
    found = re.findall(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", prose(name), re.DOTALL)
    return [span.replace("\n", " ") for _, span in found]


def code(name: str) -> list[str]:
    """Every piece of code of a document: each line of its blocks, and whatever stands in backticks."""
    return [*(line for _, block in blocks(name) for line in block.splitlines()), *spans(name)]
