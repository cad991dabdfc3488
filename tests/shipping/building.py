"""What the tests of wheels share: how one is made of a checkout, and programs that run apart from this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*command: object, folder: Path, **environment: str) -> str:
    """What a program wrote to stdout; it must not fail, and what it wrote is in the failure if it does."""
    env = {**os.environ, **environment}
    done = subprocess.run([str(one) for one in command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} failed: {done.stdout} {done.stderr}"
    return done.stdout


def wheel_of(checkout: Path, target: Path, project: str = ".", **environment: str) -> Path:
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "-w", target, project]
    run(*command, folder=checkout, **environment)
    (made,) = target.glob("*.whl")
    return made


def apart(home: Path) -> dict[str, str]:
    """An environment in which no cache and no checkout helps."""
    return {"HOME": str(home), "XDG_CACHE_HOME": "", "PYTHONPATH": ""}
