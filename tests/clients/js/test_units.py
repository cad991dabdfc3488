"""The client's own tests of what needs no browser, run by Node."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from app.web import build
from tests.integration.firefox.nodes import quiet

TESTS = 17  # at the least


def test_what_needs_no_browser_works(tmp_path: Path) -> None:
    folder = tmp_path / "js"  # nothing is built in the checkout
    shutil.copytree(build.CLIENT, folder, ignore=shutil.ignore_patterns("node_modules", "build", "dist"))
    (folder / "node_modules").symlink_to(build.packages(quiet))
    done = subprocess.run(["npm", "test"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.findall(r"^# pass (\d+)$", done.stdout, re.MULTILINE)[0]) >= TESTS
    assert re.findall(r"^# (?:fail|skipped|todo) (\d+)$", done.stdout, re.MULTILINE) == ["0", "0", "0"]
