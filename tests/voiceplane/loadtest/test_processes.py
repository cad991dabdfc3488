"""Processes found by what they listen at."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from voiceplane.loadtest import processes


@pytest.mark.parametrize(
    ("at", "asked", "is_there"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.11", "127.0.0.11", True),
        ("127.0.0.11", "127.0.0.1", False),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", None, True),
        ("::1", "::1", True),
        ("::1", "127.0.0.1", False),
        ("::", "::1", True),
    ],
)
def test_a_listener_is_found_by_its_address_and_port(at: str, asked: str | None, is_there: bool) -> None:
    family = socket.AF_INET6 if ":" in at else socket.AF_INET
    with socket.create_server((at, 0), family=family) as server:
        port = server.getsockname()[1]
        assert processes.listener(port, asked) == (os.getpid() if is_there else None)
    assert processes.listener(port, asked) is None


def test_of_two_that_share_a_port_each_is_had_by_its_address() -> None:
    with ExitStack() as stack:
        one = stack.enter_context(socket.create_server(("127.0.0.11", 0)))
        port = one.getsockname()[1]
        assert processes.listener(port, "127.0.0.12") is None
        stack.enter_context(socket.create_server(("127.0.0.12", port)))
        assert processes.listener(port, "127.0.0.12") == os.getpid()


def test_one_that_has_ended_runs_no_more_though_nobody_has_asked_how() -> None:
    assert processes.is_running(os.getpid())
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.is_running(ended.pid)
    assert not processes.is_running(ended.pid)


def test_packets_that_find_a_socket_full_are_counted_by_its_process() -> None:
    with ExitStack() as stack:
        full, other, sender = (stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(3))
        for one in (full, other):
            one.bind(("127.0.0.1", 0))
        full.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        before = processes.udp_drops([os.getpid(), os.getppid()])
        for _ in range(100):
            sender.sendto(bytes(1000), full.getsockname())
        sender.sendto(b"", other.getsockname())
        drops = processes.udp_drops([os.getpid(), os.getppid()])
    assert 50 < drops[os.getpid()] - before[os.getpid()] < 100
    assert drops[os.getppid()] == before[os.getppid()]
