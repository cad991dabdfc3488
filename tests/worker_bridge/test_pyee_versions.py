"""pyee, of which the bridge takes a range: what is listened to is heard with the lowest and the highest of it.

Both are pinned by their hashes, so that a run of today is that of tomorrow. The highest is the one that is installed,
by the lock files: what the range allows beyond it was not there when those were renewed. The lowest is fetched once,
into the per-user cache.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from worker_bridge.native.tools import user_cache

ROOT = Path(__file__).parents[2]
LOWEST = Path(__file__).with_name("pyee_lowest.txt")
TESTED = ("test_emitter.py", "test_observable.py")


def requirement() -> Requirement:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [pyee] = [one for one in map(Requirement, project["dependencies"]) if one.name == "pyee"]
    return pyee


def pinned(lock: Path) -> str:
    [found] = re.findall(r"^pyee==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return str(found)


def run(*command: str | Path, path: Path | None = None) -> str:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def lowest() -> Path:
    """A folder with nothing but that pyee in it, complete or not at all."""
    kept = user_cache() / "pyee" / hashlib.sha256(LOWEST.read_bytes()).hexdigest()[:12]
    if not kept.is_dir():
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            fresh = Path(scratch) / "pyee"
            install = ("pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes")
            run(*install, "--target", fresh, "-r", LOWEST)
            fresh.rename(kept)
    return kept


def test_the_pinned_ends_are_those_of_the_range() -> None:
    [least] = [one.version for one in requirement().specifier if one.operator == ">="]
    assert pinned(LOWEST) in (least, f"{least}.0", f"{least}.0.0")
    assert version("pyee") == pinned(ROOT / "requirements" / "node.txt")
    assert requirement().specifier.contains(version("pyee"))


def test_listening_works_with_the_lowest(lowest: Path) -> None:
    assert listened_to(lowest) == pinned(LOWEST)


def test_listening_works_with_the_highest() -> None:
    assert listened_to(None) == version("pyee")


def listened_to(path: Path | None) -> str:
    """The version with which the tests of listening pass."""
    found = run(
        "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/worker_bridge/{name}" for name in TESTED), path=path
    )
    assert " passed" in found
    asked = "from importlib.metadata import version; print(version('pyee'))"
    return run("timeit", "-n1", "-r1", asked, path=path).splitlines()[0]
