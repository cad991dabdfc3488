"""A wheel of this checkout, installed where nothing else of it is: it brings its worker, and two parties talk by it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import free_ports
from tests.shipping.building import ROOT, apart, run, wheel_of
from worker_bridge.native import NativeWorker

PACKAGED = "worker_bridge/native/packaged"
LICENSES = ("mediasoup", "openssl", "libuv", "libsrtp", "flatbuffers", "gcc-runtime", "apache-2.0")

PAGES = (
    *("/admin/", "/admin/assets/main.js", "/docs", "/docs/assets/swagger-ui-bundle.js"),
    *("/demo", "/demo/assets/main.js", "/client/voiceplane.js"),
)

CLIENT = re.compile(r"app/web/built/client/[0-9a-f]{16}/voiceplane\.js")

pytestmark = pytest.mark.timeout(600)  # pip builds, and fetches what is needed for it


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(checkout, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def command(wheel: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``voiceplane``, installed from the wheel into a virtual environment of its own."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    install = [folder / "bin" / "pip", "install", "-q", "--no-compile", "--no-deps"]
    run(*install, "--require-hashes", "-r", ROOT / "requirements" / "call.txt", folder=home, **apart(home))
    run(*install, wheel, folder=home, **apart(home))
    return folder / "bin" / "voiceplane"


def test_the_wheel_holds_worker_schema_licenses_and_pages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert {f"{PACKAGED}/{name}" for name in ("mediasoup-worker", "message.bfbs", "manifest.json")} <= names
        assert "app/web/built/swagger-ui/swagger-ui-bundle.js" in names
        assert [name for name in names if CLIENT.fullmatch(name)]
        texts = {name: archive.read(f"{PACKAGED}/licenses/{name}.txt").decode() for name in LICENSES}
        assert all(len(text) > 500 for text in texts.values())
        assert "Apache License" in texts["apache-2.0"]
        assert not [name for name in names if name.startswith("tests/")]


def test_the_name_of_the_wheel_says_which_systems_it_runs_on(wheel: Path) -> None:
    platform = wheel.stem.rpartition("-")[2]
    said = run(sys.executable, "-m", "auditwheel", "show", wheel, folder=wheel.parent)
    assert f'with the following platform tag: "{platform}".' in " ".join(said.split())


def test_a_thin_wheel_has_no_worker(checkout: Path, tmp_path: Path) -> None:
    thin = wheel_of(checkout, tmp_path, VOICEPLANE_THIN_WHEEL="1")
    with zipfile.ZipFile(thin) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.startswith(PACKAGED)]
    assert [name for name in names if CLIENT.fullmatch(name)]


def test_a_checkout_carries_no_worker_of_its_own(native_worker: NativeWorker) -> None:
    assert native_worker.origin != "packaged"


def test_the_installed_command_finds_and_checks_its_own_worker(command: Path, home: Path) -> None:
    checked = json.loads(run(command, "worker", "check", "--json", folder=home, **apart(home)))
    assert checked["origin"] == "packaged"
    assert Path(checked["path"]).is_relative_to(command.parents[1])
    built = json.loads(run(command, "worker", "build", "--json", folder=home, **apart(home)))
    assert built["path"] == checked["path"]


def test_two_parties_talk_through_what_was_installed_and_its_pages_are_there(command: Path, home: Path) -> None:
    with node(command, home) as base:
        for page in PAGES:
            with urllib.request.urlopen(base + page, timeout=10) as answer:
                assert (answer.status, len(answer.read()) > 200) == (200, True), page
        told = json.loads(run(command, "call", "--base", base, "--seconds", "1", "--json", folder=home, **apart(home)))
    assert (told["good"], told["fault"]) == (True, None)


@contextmanager
def node(command: Path, home: Path) -> Iterator[str]:
    """A node of the installed command, with its data in ``home``. Gives its base URL."""
    settings = {"VOICEPLANE_PORT": "0", "VOICEPLANE_RTC_PORT": str(free_ports(1)), "VOICEPLANE_WORKERS": "1"}
    settings |= {"VOICEPLANE_RTC_LISTEN_IP": "127.0.0.1"}
    env = {**os.environ, **apart(home), **settings, "VOICEPLANE_LOG_FORMAT": "json"}
    with subprocess.Popen([command, "serve"], cwd=home, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield listening(process)
        finally:
            process.terminate()
            process.communicate()
    assert process.returncode == 0


def listening(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if (message := json.loads(line)["message"]).startswith("listening on "):
            return str(message.removeprefix("listening on "))
    raise AssertionError(f"the node ended: {''.join(said)}")
