"""The examples under ``mypy --strict``, as the code of somebody who uses the bridge or the client: their public names
are all typed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources

import pytest

from tests.examples.programs import CLIENT_PROGRAMS, EXAMPLES

BRIDGE_FILES = sorted({path.name for path in EXAMPLES.glob("*.py")} - set(CLIENT_PROGRAMS))
AS_INSTALLED = ["--follow-imports=silent"]  # what the client's own sources make of pymediasoup is no user's affair


@pytest.mark.parametrize(("options", "files"), [([], BRIDGE_FILES), (AS_INSTALLED, CLIENT_PROGRAMS)])
def test_examples_pass_mypy_strict(options: list[str], files: list[str], tmp_path):
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", *options]
    checked = subprocess.run(
        [*command, *files],
        cwd=EXAMPLES,
        env={**os.environ, "MYPYPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("package", ["voiceplane", "worker_bridge"])
def test_the_package_says_that_it_is_typed(package: str):
    assert resources.files(package).joinpath("py.typed").is_file()
