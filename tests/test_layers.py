"""The arrows: who may import whom. Read from the sources, so that an import inside a function counts, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FORBIDDEN = {
    "worker_bridge": ("aiohttp", "marshmallow", "app", "schemas"),
    "examples": ("app", "schemas"),
    "schemas": ("app",),
    "app/ledger": ("app.calls", "app.ops", "app.rest", "app.signaling", "aiohttp"),
    "app/calls": ("app.ops", "app.rest", "app.signaling", "aiohttp"),
    "app/ops": ("app.rest",),
    "app/openapi": ("app.ops", "app.rest", "app.signaling", "app.web"),
}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@cache
def imports(source: Path) -> frozenset[str]:
    return frozenset(imported(source))


def imported(source: Path) -> Iterator[str]:
    """Dotted names of what a file imports, in full: ``from app import calls`` gives ``app`` and ``app.calls``."""
    package = source.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*above, *([node.module] if node.module else [])))
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def is_within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


@pytest.mark.parametrize(("folder", "module"), [(key, module) for key, many in FORBIDDEN.items() for module in many])
def test_no_arrow_points_back(folder: str, module: str) -> None:
    files = sources(folder)
    assert files, f"{folder} has no sources"
    wrong = [str(file.relative_to(ROOT)) for file in files if any(is_within(name, module) for name in imports(file))]
    assert not wrong, f"{folder} must not import {module}"


def test_only_one_file_knows_the_jwt_library() -> None:
    files = [*sources("app"), *sources("schemas"), *sources("worker_bridge")]
    knowing = [str(file.relative_to(ROOT)) for file in files if any(is_within(name, "jose") for name in imports(file))]
    assert knowing == ["app/auth.py"]


def test_every_way_to_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    file = tmp_path / "app" / "calls" / "call.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import app.one\nfrom app import two\nfrom . import three\nfrom .. import four\nfrom ..five import six\n"
        "def late():\n    from app.seven import eight\n"
    )
    assert {"app.one", "app.two", "app.calls.three", "app.four", "app.five.six", "app.seven"} <= imports(file)
