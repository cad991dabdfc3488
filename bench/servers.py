"""Servers under measurement, each in a process of its own: started on free ports, watched until ready, stopped whole.

Knows how to start ours and any other; what is asked of them, and what that means, is the business of the benches.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.access.tokens import issue_token
from app.settings import Settings
from worker_bridge import native

ROOT = Path(__file__).resolve().parents[1]
SECRET = "benchmark-secret-benchmark-secret"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class ServerError(Exception):
    """A server that did not start, with what it wrote."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running one. ``base`` is its URL."""

    pid: int
    base: str

    def cpu_seconds(self) -> float:
        """User and system time so far, of this process alone: neither its worker nor whoever drives it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_S


@contextmanager
def voiceplane(*, root: Path = ROOT, **changed: str) -> Iterator[Server]:
    """Ours, with one worker, an empty data folder and no limits that a benchmark would hit.

    :param changed: further settings by their names, in lower case.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="voiceplane-bench-") as folder:
        environment = {
            "JWT_SECRET": SECRET,
            "VOICEPLANE_DATA_DIR": folder,
            "VOICEPLANE_PORT": str(port),
            "VOICEPLANE_RTC_PORT": str(free_port()),
            "VOICEPLANE_RTC_LISTEN_IP": "127.0.0.1",
            "VOICEPLANE_WORKERS": "1",
            "VOICEPLANE_RATE_LIMIT": "0",
            "VOICEPLANE_STRESS_LIMIT": "0",
            "VOICEPLANE_DRAIN_TIMEOUT_S": "0",
            "VOICEPLANE_MAX_PRODUCERS_PER_PARTY": "1000000",
            "VOICEPLANE_LOG_LEVEL": "info",
            **{f"VOICEPLANE_{name.upper()}": value for name, value in changed.items()},
        }
        with running([sys.executable, "-m", "voiceplane", "serve"], root, environment, "listening on", port) as server:
            yield server


@contextmanager
def reference(folder: Path, *, stores: bool = False) -> Iterator[Server]:
    """The server to compare with: ``folder/server.mjs``, over the same worker binary as ours.

    :param stores: whether it stores what ours stores, in a new file that ``LEDGER`` names.
    """
    port = free_port()
    environment = {
        "JWT_SECRET": SECRET,
        "PORT": str(port),
        "RTC_PORT": str(free_port()),
        "MEDIASOUP_WORKER_BIN": str(native.locate(os.environ.get("VOICEPLANE_WORKER_BIN")).binary),
    }
    with tempfile.TemporaryDirectory(prefix="reference-bench-") as ledger:
        if stores:
            environment["LEDGER"] = str(Path(ledger, "ledger.sqlite"))
        with running(["node", "server.mjs"], folder, environment, "ready", port) as server:
            yield server


@contextmanager
def running(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], ready: str, port: int
) -> Iterator[Server]:
    """Run ``command`` until the block ends. It is up when it has written a line with ``ready`` in it."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    written: list[str] = []
    said = threading.Event()  # that it is ready, or nothing more
    reader = threading.Thread(target=_read, args=(process, ready, written, said), name="server output", daemon=True)
    reader.start()
    try:
        if not said.wait(START_TIMEOUT_S) or not any(ready in line for line in written):
            raise ServerError(f"{' '.join(command)} did not start:\n{''.join(written[-20:])}")
        yield Server(process.pid, f"http://127.0.0.1:{port}")
    finally:
        _stop(process)
        reader.join(STOP_TIMEOUT_S)


def ask(server: Server, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What ours answers an admin. Raises HTTPError."""
    token = issue_token(Settings(jwt_secret=SECRET), "root", "admin", 3600.0)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.base + path, content, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def free_port() -> int:
    """A port that nobody has at this moment, neither for UDP nor for TCP."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        port: int = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        return port


def _read(process: subprocess.Popen[str], ready: str, written: list[str], said: threading.Event) -> None:
    """Drain the output to its end, so that the server never waits for us."""
    assert process.stdout is not None
    for line in process.stdout:
        written.append(line)
        del written[:-100]
        if ready in line:
            said.set()
    said.set()


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
