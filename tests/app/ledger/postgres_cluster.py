"""A PostgreSQL of the tests' own: in a temporary folder, on loopback, killed with the process that started it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import free_ports

PATIENCE_S = 30.0
CONFIG = """
listen_addresses = '127.0.0.1'
fsync = off
full_page_writes = off
max_connections = 60
shared_buffers = 16MB
autovacuum = off
"""


class Cluster:
    """One server. ``start`` and ``stop`` may be called again and again; the data stays."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._databases = 0
        self._free: list[str] = []
        self._server: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def new_database(self) -> str:
        """The URL of an empty database: one that was given back, or a new one, which takes longer."""
        if self._free:
            url = self._free.pop()
            self._run("psql", "-q", "-c", "DROP SCHEMA public CASCADE", "-c", "CREATE SCHEMA public", url)
            return url
        self._databases += 1
        name = f"ledger_{self._databases}"
        self._run("createdb", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", name)
        return self.url(name)

    def give_back(self, url: str) -> None:
        """Nobody is connected to that database any more."""
        self._free.append(url)

    def _run(self, name: str, *arguments: str) -> None:
        command: list[str | Path] = as_postgres(name)
        command += arguments
        subprocess.run(command, check=True, env=os.environ | {"PGOPTIONS": "-c client_min_messages=warning"})

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = as_postgres("postgres", die_with_parent=True)
            command += ["-D", self.folder / "data", "-k", self.folder, "-p", str(self.port)]
            self._server = subprocess.Popen(command, stdout=log, stderr=log)
        ready: list[str | Path] = [program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        deadline = time.monotonic() + PATIENCE_S
        while subprocess.run(ready, check=False).returncode:
            if self._server.poll() is not None or time.monotonic() > deadline:
                pytest.fail("PostgreSQL does not start: " + (self.folder / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT is a crash: open transactions are lost, what is committed is replayed at the next start."""
        if self._server is not None:
            self._server.send_signal(how)
            self._server.wait(PATIENCE_S)
            self._server = None

    def promote(self) -> None:
        """A standby takes writes from now on."""
        self._run("psql", "-q", "-o", os.devnull, "-c", "SELECT pg_promote()", self.url())

    @contextmanager
    def standby(self) -> Iterator[Cluster]:
        """A second server with every commit of this one before it is answered (PostgreSQL 15, §27.2.8)."""
        with private_folder() as folder:
            copied = [*as_postgres("pg_basebackup"), "-d", self.url(), "-D", folder / "data", "-R", "-c", "fast"]
            subprocess.run(copied, check=True)
            with started(Cluster(folder, free_ports(1))) as standby:
                wait_for_it = "ALTER SYSTEM SET synchronous_standby_names = '*'"
                self._run(
                    "psql", "-q", "-o", os.devnull, "-c", wait_for_it, "-c", "SELECT pg_reload_conf()", self.url()
                )
                yield standby

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """All its processes stand still; connections stay open and are not answered."""
        assert self._server is not None
        pids = [self._server.pid, *children_of(self._server.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    with private_folder() as folder:
        initdb = [*as_postgres("initdb"), "-D", folder / "data", "-U", "postgres", "--auth=trust", "--no-sync"]
        subprocess.run([*initdb, "--encoding=UTF8", "--locale=C"], check=True, stdout=subprocess.DEVNULL)
        with (folder / "data" / "postgresql.conf").open("a") as config:
            config.write(CONFIG)
        with started(Cluster(folder, free_ports(1))) as cluster:
            yield cluster


@contextmanager
def started(cluster: Cluster) -> Iterator[Cluster]:
    cluster.start()
    try:
        yield cluster
    finally:
        cluster.stop()


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder of the user that PostgreSQL runs as: initdb and postgres refuse to be root."""
    folder = Path(tempfile.mkdtemp(prefix="ledger-postgres-"))
    try:
        if os.geteuid() == 0:
            postgres = pwd.getpwnam("postgres")
            os.chown(folder, postgres.pw_uid, postgres.pw_gid)
        yield folder
    finally:
        shutil.rmtree(folder)


def program(name: str) -> Path:
    """Debian keeps most of PostgreSQL's programs off the PATH."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda place: int(place.parent.name), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ.get("PATH", "")]))
    if found is None:
        pytest.fail(f"the ledger's tests need PostgreSQL, and {name} is not there: apt-get install postgresql")
    return Path(found)


def as_postgres(name: str, *, die_with_parent: bool = False) -> list[str | Path]:
    """The start of a command line: the program, under a user that it accepts."""
    options = ["--pdeathsig=KILL"] if die_with_parent else []
    if os.geteuid() == 0:
        options += ["--reuid=postgres", "--regid=postgres", "--clear-groups"]
    return ["setpriv", *options, program(name)] if options else [program(name)]


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
