"""The suite itself: it ends however it was started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
IN_THE_BACKGROUND = "trap '' INT QUIT; exec \"$@\""  # what a shell without job control does for `make test &`


def test_tests_end_their_programs_where_whoever_started_the_suite_has_it_ignore_ctrl_c():
    tests = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n0",
        "tests/examples/test_echo_room.py",
        "-k",
        "preferredPayloadType",
    ]
    command = ["sh", "-c", IN_THE_BACKGROUND, "sh", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
