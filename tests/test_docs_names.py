"""What the documents name exists: commands, targets, modules, links, files, endpoints, identifiers."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from app.application import create_app
from app.settings import Settings
from tests.documents import DOCUMENTS, ROOT, blocks, code, prose, rows, spans, text
from voiceplane.cli.root import cli

OURS = (
    *("app", "schemas", "voiceplane", "worker_bridge", "wheels"),
    *("tests", "examples", "bench", "deploy", "docs", "requirements"),
)
FILE = re.compile(r"(?:[\w.-]+/)*[\w-]+\.(?:py|pyi|hpp|cpp|md|yml|yaml|json|conf|service|txt|js|example)")
ELSEWHERE = {
    "alerts.yml",
    "prometheus.yml",
    "manifest.json",
    "package.json",
    "load.json",
    "voiceplane.js",
}  # made elsewhere
MADE = ("build/", "node_modules/", "fbs/", "licenses/")
PLACEHOLDERS = {"x_type", "linux_x86_64", "manylinux_2_36_x86_64"}  # any union field's type; platforms

documents = pytest.mark.parametrize("name", DOCUMENTS)


def test_every_command_is_in_the_table():
    assert {" ".join(path) for path in commands(cli)} == set(listed(rows("docs/commands.md", "Commands")))


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The commands that do something, each with those above it."""
    below = getattr(group, "commands", {})
    if not below:
        yield path
    for name, one in below.items():
        yield from commands(one, (*path, name))


def listed(table: list[list[str]]) -> Iterator[str]:
    """``worker build``, ``worker path`` of a row that begins with `` `voiceplane worker build`, `path` ``."""
    for row in table:
        first, *more = (one.strip("` ") for one in row[0].split("`, `"))
        command = re.fullmatch(r"voiceplane ([a-z]+(?: [a-z]+)*)(?: .*)?", first)[1]
        yield command
        yield from (f"{command.split()[0]} {one}" for one in more)


@documents
def test_the_commands_that_a_document_shows_are_there(name: str):
    shown = [words for line in code(name) for words in re.findall(r"(?<![\w.@-])voiceplane ([a-z-][^#|)`;]*)", line)]
    assert [one for one in shown if not understood(one.split())] == []


def understood(words: list[str]) -> bool:
    """Whether these are a command, or a group of some, and options that it has. Values are not looked at."""
    command: click.Command = cli
    while words and words[0].isalpha() and isinstance(command, click.Group):
        if (below := command.commands.get(words[0])) is None:
            return False
        command, words = below, words[1:]
    known = {option for one in command.params for option in one.opts} | {"--help", "-h"}
    return {word.strip("[]").partition("=")[0] for word in words if re.match(r"\[?--\w", word)} <= known


@documents
def test_the_targets_that_a_document_names_are_in_the_makefile(name: str):
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = {one[1] for line in code(name) if (one := re.match(r"make ([a-z-]+)", line))}
    assert named <= targets


@documents
def test_the_modules_that_a_document_runs_are_there(name: str):
    run = {module for line in code(name) for module in re.findall(r"python3? -m ([\w.]+)", line)}
    assert [one for one in run if find_spec(one) is None] == []


@documents
def test_the_programs_in_a_document_can_be_read(name: str):
    for language, block in blocks(name):
        if language == "python":
            compile(whole(block), name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        elif language == "bash":
            subprocess.run(["bash", "-n"], input=block, text=True, check=True)


def whole(program: str) -> str:
    """With something inside a block that the document leaves open."""
    last = program.rstrip().splitlines()[-1]
    return f"{program}{' ' * (len(last) - len(last.lstrip()) + 4)}..." if last.endswith(":") else program


@documents
def test_what_a_document_imports_can_be_imported(name: str):
    imported = [line for line in code(name) if re.match(r"(?:from|import) (?:app|schemas|worker_bridge)\b", line)]
    for line in imported:
        exec(line, {})


@documents
def test_the_links_of_a_document_lead_somewhere(name: str):
    links = re.findall(r"\]\((?!\w+:)([^)]+)\)", prose(name))
    assert [link for link in links if not leads(name, link)] == []


def leads(name: str, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (ROOT / name).parent / path if path else ROOT / name
    return target.exists() and (not anchor or anchor in anchors(target.resolve()))


@cache
def anchors(document: Path) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", prose(document.relative_to(ROOT).as_posix()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


@documents
def test_the_files_that_a_document_names_are_there(name: str):
    named = {one for piece in code(name) if FILE.fullmatch(one := piece.split("::")[0]) and not is_elsewhere(one)}
    assert [one for one in sorted(named) if not exists(one)] == []


def is_elsewhere(path: str) -> bool:
    return path in ELSEWHERE or path.startswith(MADE)


def exists(path: str) -> bool:
    """By its whole path, or by the end of it where the text around says the rest."""
    return any(file == path or file.endswith(f"/{path}") for file in files())


@cache
def files() -> frozenset[str]:
    below = (file for folder in OURS for file in (ROOT / folder).rglob("*"))
    return frozenset(file.relative_to(ROOT).as_posix() for file in (*ROOT.glob("*.*"), *below) if file.is_file())


@documents
def test_the_endpoints_that_a_document_names_are_routed(name: str, routes: list[tuple[str, re.Pattern[str]]]):
    named = {one for piece in code(name) for one in re.findall(r"\b(GET|POST|PUT|DELETE) (/[^\s`'\"?,;]*)", piece)}
    assert [
        one for one in sorted(named) if not any(one[0] == verb and path.fullmatch(one[1]) for verb, path in routes)
    ] == []


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, re.Pattern[str]]]:
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("data")))
    routed = [(route.method, route.resource.canonical) for route in app.router.routes() if route.resource]
    return [(method, re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path))) for method, path in routed]


@documents
def test_the_identifiers_that_a_document_names_are_in_the_sources(name: str):
    """Settings, codes of errors, events, functions, columns: whatever has an underscore in it."""
    named = {one[1] for span in spans(name) if (one := re.fullmatch(r"(?:\w+\.)*([A-Za-z]\w*_\w+)(?:\(.*\))?", span))}
    shown = {one for line in code(name) for one in re.findall(r"(?<![\w$.])[A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9]\b", line)}
    missing = [one for one in sorted((named | shown) - PLACEHOLDERS) if base(one) not in sources()]
    assert [one for one in missing if not is_shell(name, one)] == []


def base(name: str) -> str:
    """A name without what is put around it where it is used: answers to commands, and metrics."""
    return name.removesuffix("_ack").removesuffix("_total").removeprefix("voiceplane_").lower()


def is_shell(name: str, variable: str) -> bool:
    """Whether the document sets it by itself, for its own commands."""
    return bool(re.search(rf"\b{variable}=", text(name)))


@cache
def sources() -> str:
    kinds = {".py", ".hpp", ".cpp", ".pyi", ".js", ".service", ".yaml", ".conf"}
    below = (file for folder in OURS if folder != "docs" for file in (ROOT / folder).rglob("*") if file.suffix in kinds)
    kept = (file for file in below if "built" not in file.parts and file.name != Path(__file__).name)
    return "\n".join(f"{file.stem}\n{file.read_text(encoding='utf-8', errors='replace')}" for file in kept).lower()
