"""What the documents say is what there is: endpoints, codes, events, packages, folders; and the README is short."""

from __future__ import annotations

import re
import tomllib
from typing import get_args

import pytest

from app import errors
from app.application import create_app
from app.settings import Settings
from schemas.signaling import COMMANDS, EVENTS
from schemas.webhook_events import MessageType
from tests.documents import ROOT, rows, text, words

UNNAMED = {"__pycache__", "build", "dist", "data"}  # what git ignores


def test_every_endpoint_is_in_the_api_document(tmp_path):
    app = create_app(Settings(data_dir=tmp_path))
    routed = {route.resource.canonical for route in app.router.routes() if route.resource and route.method != "*"}
    named = re.findall(r"(/[a-z][A-Za-z0-9{}/._-]+|/(?=`))", text("docs/api.md"))
    assert set(map(nameless, routed)) <= set(map(nameless, named))


def nameless(path: str) -> str:
    """A path whose parameters are all called the same."""
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_every_code_is_in_the_api_document():
    assert every_code() <= words(text("docs/api.md"))


def every_code() -> set[str]:
    alone = {one for one in vars(errors).values() if isinstance(one, errors.Answer)}
    return {answer.code for answer in (*errors.ANSWERS.values(), *alone)}


def test_no_code_is_made_elsewhere():
    sources = (path for package in ("app", "schemas", "voiceplane") for path in (ROOT / package).rglob("*.py"))
    making = {path.name for path in sources if re.search(r"\bAnswer\(\s*\"", path.read_text(encoding="utf-8"))}
    assert making == {"errors.py"}


CATALOGUE = {"Webhooks": set(get_args(MessageType)), "WebSocket events": set(EVENTS), "Errors": every_code()}


@pytest.mark.parametrize("heading", CATALOGUE)
def test_the_guide_says_of_each_event_and_error_what_to_do_and_of_nothing_else(heading: str):
    table = rows("docs/integration.md", heading)
    named = [name for row in table for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(named) == sorted(CATALOGUE[heading])
    assert [row for row in table if len(row) != 2 or not row[1]] == []


def test_every_command_and_event_of_the_websocket_is_in_the_api_document():
    assert {*COMMANDS, *EVENTS} <= words(text("docs/api.md"))


def test_every_package_has_its_reason():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    asked = [*project["dependencies"], *(one for group in project["optional-dependencies"].values() for one in group)]
    names = {re.match(r"[A-Za-z0-9-]+", one)[0] for one in asked} - {"voiceplane"}
    assert names <= words(text("docs/dependencies.md"))


def test_the_readme_is_short_and_begins_with_two_commands():
    readme = text("README.md")
    assert len(readme.splitlines()) <= 200
    first = re.search(r"```\n(.*?)```", readme, re.DOTALL)[1]
    assert re.findall(r"^make \w+", first, re.MULTILINE) == ["make run", "make test"]


def test_the_readme_leads_to_every_document():
    documents = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert documents - set(re.findall(r"\]\(([^)#]+)", text("README.md"))) == set()


def test_the_readme_names_every_folder():
    folders = {f"{path.name}/" for path in ROOT.iterdir() if path.is_dir() and is_ours(path.name)}
    assert {row[0].strip("`") for row in rows("README.md", "Where things are")} == folders


def test_the_architecture_names_every_folder_of_sources_and_tests():
    named = set(re.findall(r"`((?:app|tests)/[a-z_/]*)`", text("docs/architecture.md")))
    assert named - {"tests/"} >= {f"{folder}/" for folder in packages("app")} | {
        f"tests/{path.name}/" for path in (ROOT / "tests").iterdir() if path.is_dir() and is_ours(path.name)
    }


def packages(top: str) -> set[str]:
    sources = (path.parent.relative_to(ROOT).as_posix() for path in (ROOT / top).rglob("*.py"))
    return {folder for folder in sources if not folder.endswith("versions")}


def is_ours(folder: str) -> bool:
    return not folder.startswith(".") and not folder.endswith(".egg-info") and folder not in UNNAMED
