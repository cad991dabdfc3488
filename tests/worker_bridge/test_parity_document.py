"""docs/parity.md says what is so: its tests and names exist, nothing of the worker's schema is missing."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import worker_bridge
from worker_bridge._codec import Codec
from worker_bridge.codec import FRAME_LIMIT, NOTIFICATION_BODIES, REQUEST_BODIES, ROOT
from worker_bridge.native import NativeWorker

HERE = Path(__file__).parent
TEXT = (HERE.parents[1] / "docs" / "parity.md").read_text(encoding="utf-8")
UPSTREAM_TESTS = 202
UNANSWERED = "TRANSPORT_CONNECT"  # a method that no transport knows


def rows(text: str = TEXT) -> Iterator[list[str]]:
    """The cells of every row of a table, without the tables' heads."""
    for table in re.findall(r"^\|[-|]+\|\n((?:\|.*\|\n?)+)", text, flags=re.MULTILINE):
        for line in table.splitlines():
            yield [cell.strip() for cell in line.strip("|").split("|")]


def section(title: str) -> str:
    return TEXT.split(f"### {title}\n")[1].split("\n### ")[0].split("\n## ")[0]


@cache
def functions_of(file: str) -> set[str]:
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in functions}


def test_no_cell_is_empty() -> None:
    assert [row for row in rows() if not all(row)] == []


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`([a-z_/0-9]+\.py)::(test_\w+)`", TEXT)
    assert len(named) > UPSTREAM_TESTS
    assert [f"{file}::{test}" for file, test in named if test not in functions_of(file)] == []


def test_every_line_names_a_test_or_says_why_not() -> None:
    assert [
        row for row in rows() if "::test_" not in row[-1] and not row[-1].startswith(("left out: ", "not here: "))
    ] == []


def test_every_name_of_ours_exists() -> None:
    names = set(re.findall(r"`([A-Z]\w+)\.(\w+)(?:\((\w+)=\))?`", TEXT))
    assert len(names) > len(REQUEST_BODIES)
    assert [name for name in sorted(names) if not exists(*name)] == []


def exists(owner: str, attribute: str, parameter: str) -> bool:
    kind = getattr(worker_bridge, owner)
    if attribute not in attributes(kind):
        return False
    return not parameter or parameter in inspect.signature(getattr(kind, attribute)).parameters


@cache
def attributes(kind: type) -> set[str]:
    """Of the class, and of its instances as the sources of it and its bases set them."""
    family = [one for one in kind.__mro__ if one.__module__.startswith("worker_bridge")]
    set_on_self = {name for one in family for name in re.findall(r"self\.(\w+)[:,\s]", inspect.getsource(one))}
    annotated = {name for one in family for name in vars(one).get("__annotations__", {})}
    return {*dir(kind), *set_on_self, *annotated}


def test_every_request_is_there() -> None:
    assert {row[0].strip("`") for row in rows(section("Requests"))} == REQUEST_BODIES.keys() - {UNANSWERED}


def test_every_notification_is_there(native_worker: NativeWorker) -> None:
    codec = Codec(native_worker.schema.read_bytes(), ROOT, FRAME_LIMIT)
    events = codec.values("FBS.Notification.Event").keys()
    assert {row[0].strip("`") for row in rows(section("Notifications to the worker"))} == NOTIFICATION_BODIES.keys()
    told = {row[0].strip("`") for row in rows(section("Notifications from the worker"))}
    assert told == events - NOTIFICATION_BODIES.keys()


def test_each_of_upstreams_tests_has_its_line() -> None:
    upstream = TEXT.split("## The behaviours that upstream's own tests check")[1]
    files = re.findall(r"### \S+ \((\d+)\)\n(.*?)(?=\n### |\Z)", upstream, flags=re.DOTALL)
    assert [len(list(rows(lines))) for _, lines in files] == [int(count) for count, _ in files]
    assert len(files) == 17
    assert sum(int(count) for count, _ in files) == UPSTREAM_TESTS
