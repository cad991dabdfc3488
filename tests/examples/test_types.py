"""The examples under ``mypy --strict``, as the code of somebody who uses the bridge: its public names are all typed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources

from tests.examples.programs import EXAMPLES


def test_examples_pass_mypy_strict(tmp_path):
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}"]
    files = sorted(path.name for path in EXAMPLES.glob("*.py"))
    checked = subprocess.run(
        [*command, *files],
        cwd=EXAMPLES,
        env={**os.environ, "MYPYPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_package_says_that_it_is_typed():
    assert resources.files("worker_bridge").joinpath("py.typed").is_file()
