"""`voiceplane worker`: where the worker is, and that it works."""

from __future__ import annotations

import json

import pytest

from voiceplane.cli import main
from worker_bridge.native import NativeWorker
from worker_bridge.native.libraries import openssl_version


def test_a_worker_for_a_script(capsys: pytest.CaptureFixture[str], native_worker: NativeWorker) -> None:
    assert main(["worker", "path", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["path"], found["version"]) == (str(native_worker.binary), native_worker.version)
    assert main(["worker", "check", "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked.pop("answeredAfterMs") > 0
    assert checked.pop("openssl") == openssl_version(native_worker.binary)
    assert checked == found


def test_a_worker_that_is_there_is_not_built_again(
    capsys: pytest.CaptureFixture[str], native_worker: NativeWorker
) -> None:
    assert main(["worker", "build"]) == 0
    assert capsys.readouterr() == (f"{native_worker.binary}\n", "")
