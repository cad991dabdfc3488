"""A node as a process inside a network of a test's own, with its default settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.access.tokens import issue_token
from app.settings import Settings
from app.settings_text import PREFIX
from app.web import build
from tests.network import Network

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
IPV4, IPV6 = "10.99.7.2/24", "fd00:99:7::2/64"
PEERS = (HERE / "peers.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class DefaultNode:
    """``settings`` are the defaults, with the folder in which the node keeps its secret."""

    base: str
    settings: Settings
    pid: int

    def token(self, user_id: str, role: str) -> str:
        return issue_token(self.settings, user_id, role, 3600)


@dataclass(frozen=True)
class MatchedCall:
    """A free call between strangers, by whom it is to be joined."""

    call_id: str
    user_token: str
    otomo_token: str


def quiet(_: str) -> None:
    """Takes progress that nobody looks at."""


@contextmanager
def running_node(
    machine: Network, recipe: Path, folder: Path, page: Path = HERE / "recipe.html", **settings: str
) -> Iterator[DefaultNode]:
    """With the defaults, apart from ``settings``, which are as in the environment; and with a page and its script.

    What it keeps is in ``folder``, from which another one may go on.
    """
    build.build(quiet)
    home = folder / "node"
    home.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "JWT_SECRET"))}
    environment |= {"PYTHONPATH": str(ROOT), **settings}
    command = machine.inside(sys.executable, "-m", "tests.integration.firefox.node_with_page", page, recipe)
    with subprocess.Popen(command, cwd=home, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            base = listening(process)
            with reading_on(process):
                yield DefaultNode(base, Settings(data_dir=home / "data"), process.pid)
        finally:
            process.terminate()
            process.wait()


@contextmanager
def reading_on(process: subprocess.Popen[str]) -> Iterator[None]:
    """A node whose log nobody reads would stand still as soon as the pipe is full."""
    assert process.stderr is not None
    reader = threading.Thread(target=process.stderr.read, name="a node's log")
    reader.start()
    try:
        yield
    finally:
        process.terminate()
        reader.join()


def listening(process: subprocess.Popen[str]) -> str:
    """The base URL, as soon as the node says it."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        message = str(json.loads(line)["message"])
        if message.startswith("listening on "):
            return message.removeprefix("listening on ")
    raise AssertionError(f"the node ended: {said}")
