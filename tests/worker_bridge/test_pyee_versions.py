"""pyee, of which the bridge takes a range: what is listened to is heard with the lowest and the highest of it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
TESTED = ("test_emitter.py", "test_observable.py")


def requirement() -> Requirement:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    [pyee] = [one for one in map(Requirement, project["dependencies"]) if one.name == "pyee"]
    return pyee


def lowest(pyee: Requirement) -> str:
    [least] = [one.version for one in pyee.specifier if one.operator == ">="]
    return f"pyee=={least}"


def run(*command: str | Path, path: Path | None = None) -> str:
    environment = os.environ | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("end", ["lowest", "highest"])
def test_listening_works_with_both_ends_of_the_range(end: str, tmp_path: Path) -> None:
    wanted = lowest(requirement()) if end == "lowest" else str(requirement())
    run("pip", "install", "-q", "--disable-pip-version-check", "--no-deps", "--target", tmp_path, wanted)
    found = run(
        "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/worker_bridge/{name}" for name in TESTED), path=tmp_path
    )
    assert " passed" in found
    used = run("timeit", "-n1", "-r1", "import pyee; print(pyee.__file__)", path=tmp_path)
    assert str(tmp_path) in used
