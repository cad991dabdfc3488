"""What the documents list is what there is: settings, endpoints, codes, events, packages and files."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click

from app.application import create_app
from app.cli.root import cli
from app.errors import ANSWERS
from app.settings import Settings
from schemas.signaling import COMMANDS, EVENTS

ROOT = Path(__file__).parents[1]
MAPPED = ("app", "schemas", "worker_bridge", "examples", "bench")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def words(markdown: str) -> set[str]:
    return set(re.findall(r"[A-Za-z0-9_.-]+", markdown))


def test_every_setting_is_in_the_readme():
    assert {one.name.upper() for one in fields(Settings)} <= words(text("README.md"))


def test_every_endpoint_is_in_the_api_document(tmp_path):
    app = create_app(Settings(data_dir=tmp_path))
    routed = {route.resource.canonical for route in app.router.routes() if route.resource and route.method != "*"}
    named = re.findall(r"(/[a-z][A-Za-z0-9{}/._-]+|/(?=`))", text("docs/api.md"))
    assert set(map(nameless, routed)) <= set(map(nameless, named))


def nameless(path: str) -> str:
    """A path whose parameters are all called the same."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_every_code_is_in_the_api_document():
    assert {answer.code for answer in ANSWERS.values()} <= words(text("docs/api.md"))


def test_every_command_and_event_is_in_both_documents():
    for name in ("README.md", "docs/api.md"):
        assert {*COMMANDS, *EVENTS} <= words(text(name)), name


def test_every_command_is_in_the_readme():
    table = text("README.md").partition("## Commands")[2].partition("\n## ")[0]
    assert {" ".join(path) for path in commands(cli) if path} <= set(named_commands(table))


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The commands that do something, each with those above it."""
    below = getattr(group, "commands", {})
    if not below:
        yield path
    for name, one in below.items():
        yield from commands(one, (*path, name))


def named_commands(table: str) -> Iterator[str]:
    """``worker build``, ``worker path`` of a line that begins with `` `voiceplane worker build`, `path` ``."""
    for line in re.findall(r"^\| `voiceplane (.+?) \|", table, re.MULTILINE):
        first, *more = (one.strip("` ") for one in line.split("`, `"))
        words = re.match(r"[a-z]+(?: [a-z]+)*", first)[0]
        yield words
        yield from (f"{words.split()[0]} {one}" for one in more)


def test_every_package_has_its_reason_in_the_readme():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    asked = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    names = {re.match(r"[A-Za-z0-9-]+", one)[0] for one in asked} - {"voiceplane"}
    assert names <= words(text("README.md"))


def test_the_map_names_every_module_and_no_other():
    assert set(mapped()) == set(modules())


def mapped() -> Iterator[str]:
    folder = ""
    for line in text("docs/architecture.md").splitlines():
        if heading := re.match(r"\*\*`(.+)/`\*\*", line):
            folder = heading[1]
        elif folder and (row := re.match(r"\| `([a-z_0-9]+\.py)` \|", line)):
            yield f"{folder}/{row[1]}"


def modules() -> Iterator[str]:
    for package in MAPPED:
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "__init__.py" and "versions" not in path.parts:
                yield path.relative_to(ROOT).as_posix()
