"""Children have what they need of our environment, and none of its secrets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from worker_bridge.environment import for_program, for_worker
from worker_bridge.native import NativeWorker, tools
from worker_bridge.worker import Worker

SECRETS = {
    "VOICEPLANE_JWT_SECRET": "the key of all tokens",
    "JWT_SECRET": "the same",
    "VOICEPLANE_DATABASE_URL": "postgresql://somebody:password@db/calls",
    "VOICEPLANE_TURN_SECRET": "another",
    "AWS_SECRET_ACCESS_KEY": "somebody else's",
}


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def environment_of(pid: int) -> dict[str, str]:
    """What a process was started with (proc(5))."""
    lines = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


async def test_a_running_worker_has_its_release_and_no_secret(native_worker: NativeWorker) -> None:
    async with Worker.running(native_worker) as worker:
        had = environment_of(worker.pid)
    assert had == for_worker(native_worker.version)
    assert had["MEDIASOUP_VERSION"] == native_worker.version
    assert not SECRETS.keys() & had.keys()
    assert "PATH" not in had


def test_a_build_step_finds_its_tools_and_no_secret(tmp_path: Path) -> None:
    said = tools.run("asking", ["env"], folder=tmp_path, env={"NINJA_STATUS": "[%f/%t] "})
    had = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    assert not SECRETS.keys() & had.keys()
    assert not set(SECRETS.values()) & set(had.values())
    assert (had["PATH"], had["NINJA_STATUS"], had["LC_ALL"]) == (tools.search_path(), "[%f/%t] ", "C.UTF-8")
    assert had["HOME"] == os.environ["HOME"]


@pytest.mark.parametrize(
    "name",
    [
        *("https_proxy", "NO_PROXY", "SSL_CERT_FILE", "npm_config_registry", "NODE_EXTRA_CA_CERTS", "PIP_INDEX_URL"),
        *("XDG_CACHE_HOME", "CXXFLAGS", "PKG_CONFIG_PATH", "CCACHE_DIR", "TMPDIR", "PYTHONPATH"),
    ],
)
def test_a_program_keeps_what_it_goes_by(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "kept")
    assert for_program()[name] == "kept"
    assert name not in for_worker("3.27.1")


@pytest.mark.parametrize("name", ["LD_LIBRARY_PATH", "MALLOC_ARENA_MAX", "ASAN_OPTIONS", "OPENSSL_CONF"])
def test_a_worker_keeps_what_says_how_a_binary_is_run(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "")
    assert for_worker("3.27.1")[name] == ""
