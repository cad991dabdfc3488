"""``python -m worker_bridge.native``: what it says, where it says it, and what it exits with."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from worker_bridge.native import NativeWorker, commands
from worker_bridge.native.__main__ import main


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "worker_bridge.native", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_each_command_answers_on_stdout_alone(native_worker: NativeWorker) -> None:
    for name in ("build", "path"):
        done = program(name)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{native_worker.binary}\n", "")
    done = program("check", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["path"], told["version"]) == (str(native_worker.binary), native_worker.version)
    assert told["answeredAfterMs"] > 0


def test_a_worker_that_can_not_be_had_is_told_on_stderr() -> None:
    done = program("path", VOICEPLANE_WORKER_BIN="/nonexistent/worker")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("there is no worker: VOICEPLANE_WORKER_BIN is /nonexistent/worker")


def test_what_it_does_not_know_is_refused_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["fetch"], ["path", "--force"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
        assert "usage: python -m worker_bridge.native" in capsys.readouterr().err


def test_it_needs_nothing_that_is_not_in_python() -> None:
    script = (
        "import sys, worker_bridge.native.__main__\n"
        "print(*{'click', 'rich', 'pyee', 'msgspec', 'voiceplane', 'app'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_a_check_says_what_it_saw(native_worker: NativeWorker) -> None:
    answer = commands.check_worker(str(native_worker.binary))
    assert answer.text.startswith(f"{native_worker.binary} is mediasoup {native_worker.version} (given) with OpenSSL ")
