"""The arrows: who may import whom. Read from the sources, so that an import inside a function counts, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Each package, and which of ours it may import besides itself.
PACKAGES = {
    "worker_bridge": (),
    "schemas": ("worker_bridge",),
    "app": ("schemas", "worker_bridge"),
    "voiceplane": ("app", "schemas", "worker_bridge"),
    "examples": ("worker_bridge", "voiceplane.client"),  # programs of the bridge, and of the client
}

# Each folder of `app`, lowest first, and which folders it may import besides itself: only such as stand above it here.
# What lies in `app` itself is either known to all (`errors`, `person`, `clock`, ...) or wires them (`application`).
FOLDERS = {
    "access": (),
    "ledger": (),
    "media": (),
    "webhooks": ("ledger",),
    "http": ("access",),
    "openapi": ("http", "media"),
    "web": ("http", "openapi"),
    "calls": ("access", "ledger", "media"),
    "watch": ("calls", "ledger", "media"),
    "announcing": ("calls", "media"),
    "recording": ("calls", "ledger", "media"),
    "streaming": ("calls", "media"),
    "signaling": ("access", "ledger"),
    "supervision": ("access", "calls", "ledger", "media"),
    "cluster": ("access", "calls", "http", "ledger", "media", "signaling"),
    "ops": (
        "announcing",
        "calls",
        "cluster",
        "http",
        "ledger",
        "media",
        "recording",
        "signaling",
        "streaming",
        "watch",
        "webhooks",
    ),
    "rest": (
        "access",
        "announcing",
        "calls",
        "cluster",
        "http",
        "ledger",
        "media",
        "openapi",
        "ops",
        "recording",
        "signaling",
        "supervision",
        "watch",
        "web",
        "webhooks",
    ),
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


def importing(folder: str, modules: set[str]) -> list[str]:
    """The files of a folder that import one of the modules, each with what it imports."""
    return [
        f"{file.relative_to(ROOT)}: {name}"
        for file in sources(folder)
        for name in sorted(imports(file))
        if any(is_within(name, module) for module in modules)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_below_it(package: str) -> None:
    below = PACKAGES[package]
    others = importing(package, {*PACKAGES, "tests", "bench"} - {package, *below})
    assert sources(package)
    assert [line for line in others if not any(is_within(line.partition(": ")[2], one) for one in below)] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_the_app_imports_only_those_below_it(folder: str) -> None:
    others = {f"app.{name}" for name in FOLDERS if name != folder}
    assert importing(f"app/{folder}", others - {f"app.{name}" for name in FOLDERS[folder]}) == []
    assert importing(f"app/{folder}", {"app.application"}) == []


def test_no_arrow_points_back() -> None:
    order = list(FOLDERS)
    assert [(name, below) for name in order for below in FOLDERS[name] if order.index(below) > order.index(name)] == []


def test_every_folder_has_its_place() -> None:
    assert {path.name for path in (ROOT / "app").iterdir() if (path / "__init__.py").is_file()} == set(FOLDERS)


@pytest.mark.parametrize("folder", ["worker_bridge", "app/calls", "app/ledger", "app/media", "app/watch"])
def test_what_is_no_edge_knows_no_http_and_no_bodies(folder: str) -> None:
    assert importing(folder, {"aiohttp", "marshmallow"}) == []


def test_an_example_is_of_the_bridge_or_of_the_client() -> None:
    users = [{line.partition(":")[0] for line in importing("examples", {name})} for name in PACKAGES["examples"]]
    assert all(users)
    assert set.intersection(*users) == set()


def test_the_client_knows_no_code_of_the_servers_but_how_a_call_sounds() -> None:
    inside = {"app", *(f"voiceplane.{name}" for name in ("cli", "doctor", "loadtest"))}
    known = {line.partition(": ")[2] for line in importing("voiceplane/client", inside)}
    assert all(is_within(name, "app.media.emodel") for name in known)


def test_only_one_file_knows_the_jwt_library() -> None:
    knowing = [
        line for package in ("app", "schemas", "voiceplane", "worker_bridge") for line in importing(package, {"jose"})
    ]
    assert {line.partition(":")[0] for line in knowing} == {"app/access/tokens.py"}


def test_every_way_to_import_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    file = tmp_path / "app" / "calls" / "call.py"
    file.parent.mkdir(parents=True)
    file.write_text(
        "import app.one\nfrom app import two\nfrom . import three\nfrom .. import four\nfrom ..five import six\n"
        "def late():\n    from app.seven import eight\n"
    )
    assert {"app.one", "app.two", "app.calls.three", "app.four", "app.five.six", "app.seven"} <= imports(file)
