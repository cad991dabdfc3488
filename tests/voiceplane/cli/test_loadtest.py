"""What `voiceplane loadtest` refuses before it does anything."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from voiceplane.cli import main

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "argv",
    [
        ["--calls", "0"],
        ["--calls", "2001"],
        ["--ramp", "0/s"],
        ["--ramp", "101/s"],
        ["--ramp", "fast"],
        ["--duration", "never"],
        ["--witnesses", "9"],
        ["--max-loss", "-1"],
        ["--base", "ftp://127.0.0.1"],
    ],
)
def test_what_is_out_of_bounds_is_a_wrong_argument(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loadtest", *argv]) == 2
    assert argv[0] in capsys.readouterr().err


def test_a_test_without_end_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loadtest", "--duration", "2h"]) == 1
    assert capsys.readouterr().err == "voiceplane: a load test may last 3600 s at most.\n"


@pytest.mark.parametrize("option", ["--json", "--plot"])
def test_what_can_not_be_written_is_told_before_the_test(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["loadtest", option, "nowhere/report"]) == 1
    assert capsys.readouterr().err == "voiceplane: nowhere/report can't be written: No such file or directory.\n"


def test_too_few_open_files_are_told_before_the_test() -> None:
    script = """if True:
        import resource, sys
        from voiceplane.cli import main
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 500))
        sys.exit(main(["loadtest", "--calls", "100"]))
    """
    environment = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "voiceplane: 100 calls need 600 open files, and fewer are allowed: see ulimit -n.\n"
