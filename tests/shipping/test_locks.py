"""What is installed is what the lock files name, byte for byte; and they name what the project says that it needs."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "requirements"
NPM = ROOT / "worker_bridge" / "native" / "npm.txt"
LOCKS = [*sorted(FOLDER.glob("*.txt")), NPM]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OPTIONAL = PROJECT["project"]["optional-dependencies"]
NEEDED = {
    "node": PROJECT["project"]["dependencies"],
    "call": [*PROJECT["project"]["dependencies"], *OPTIONAL["call"]],
    "build": PROJECT["build-system"]["requires"],
    "dev": [one for many in (PROJECT["project"]["dependencies"], *OPTIONAL.values()) for one in many],
}


def pins(lock: Path) -> list[tuple[str, str]]:
    """Names with versions, one for each line that is no hash and no comment; a name may have one for each Python."""
    lines = [line for line in lock.read_text().splitlines() if line and not line.startswith(("#", " "))]
    found = [re.fullmatch(r"([a-z0-9-]+)==(\S+) ; .*", line) for line in lines]
    assert None not in found, f"{lock.name} has lines that are no pins"
    return [(match[1], match[2]) for match in found if match]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_package_has_a_version_and_hashes_and_no_place_is_named(lock: Path) -> None:
    text = lock.read_text()
    named = re.split(r"^(?=[a-z0-9-]+==)", text, flags=re.MULTILINE)[1:]
    assert len(named) == len(pins(lock)) > 0
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", one) for one in named)
    assert not re.search(r"https?:|index|find-links", re.sub(r"^[a-z0-9-]+==", "", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", NEEDED)
def test_what_the_project_needs_is_locked_as_it_allows(name: str) -> None:
    locked = pins(FOLDER / f"{name}.txt")
    for needed in map(Requirement, NEEDED[name]):
        if needed.name != PROJECT["project"]["name"]:  # an extra that names others of ours
            versions = [version for name, version in locked if name == canonicalize_name(needed.name)]
            assert versions, needed
            assert all(needed.specifier.contains(version) for version in versions), needed


def test_the_lock_files_agree_with_one_another() -> None:
    everything = set(pins(FOLDER / "dev.txt"))
    for lock in FOLDER.glob("*.txt"):
        assert set(pins(lock)) <= everything, lock.name


def test_the_lock_of_the_build_is_of_what_the_build_asks_for() -> None:
    assert set(PROJECT["dependency-groups"]["build"]) == set(PROJECT["build-system"]["requires"])


def test_versions_with_known_holes_are_not_allowed() -> None:
    floors = {requirement.name: requirement.specifier for requirement in map(Requirement, NEEDED["node"])}
    assert "44.0.3" not in floors["cryptography"]
    assert "3.14.2" not in floors["aiohttp"]


def commands() -> dict[str, list[str]]:
    """All that `make setup` and `make setup-test` would install, and all that the image does, one a line."""
    made = subprocess.run(["make", "-nB", "setup-test"], cwd=ROOT, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    texts = {"Makefile": made.stdout, "Dockerfile": (ROOT / "deploy" / "Dockerfile").read_text()}
    return {
        name: re.findall(r"pip(?: \S+)*? (?:install|wheel) [^;&|\n]*", text.replace("\\\n", " "))
        for name, text in texts.items()
    }


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_pip_installs_nothing_but_what_is_locked(name: str) -> None:
    found = commands()[name]
    assert len(found) >= 4
    for command in found:
        assert "--no-deps" in command
        if not command.rstrip().endswith("/*.whl"):
            assert ("--require-hashes" in command) != ("--no-build-isolation" in command), command
