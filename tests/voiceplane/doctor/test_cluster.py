"""What the doctor finds of a cluster: at PostgreSQL itself, behind a pooler, and with a peer that runs."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from app.settings import Settings
from tests.app.ledger.postgres_cluster import Cluster, as_postgres
from tests.cluster.conftest import member, postgresql
from tests.cluster.member import CLUSTER_SECRET, Members
from tests.conftest import free_ports
from voiceplane.doctor import cluster

__all__ = ["member", "postgresql"]

PATIENCE_S = 20.0
POOLER = """
[databases]
* = host=127.0.0.1 port={to} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
auth_type = any
unix_socket_dir =
pool_mode = {mode}
ignore_startup_parameters = {ignored}
"""

IGNORED = (
    "extra_float_digits,idle_in_transaction_session_timeout,statement_timeout,lock_timeout,jit,"
    "tcp_keepalives_idle,tcp_keepalives_interval,tcp_keepalives_count"
)

pytestmark = pytest.mark.timeout(120)


@contextmanager
def pooled(postgresql: Cluster, folder: Path, mode: str) -> Iterator[int]:
    """The port of a pgbouncer in front of PostgreSQL."""
    port = free_ports(1)
    config = Path("/tmp") / f"pooler-{port}.ini"
    config.write_text(POOLER.format(to=postgresql.port, port=port, mode=mode, ignored=IGNORED))
    process = subprocess.Popen([*as_postgres("pgbouncer", die_with_parent=True), "-q", config])
    try:
        until = time.monotonic() + PATIENCE_S
        while not accepts(port):
            assert process.poll() is None
            assert time.monotonic() < until
        yield port
    finally:
        process.kill()
        process.wait()
        config.unlink()


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def clustered(postgresql: Cluster, settings_with: Callable[..., Settings]) -> Settings:
    return settings_with(
        cluster=True,
        node_name="asked",
        database_url=postgresql.new_database(),
        cluster_listen=f"127.0.0.1:{free_ports(1)}",
        cluster_secret=CLUSTER_SECRET,
    )


async def test_a_node_that_is_alone_has_nothing_to_find(settings_with: Callable[..., Settings]) -> None:
    for check in (cluster.sessions, cluster.peers, cluster.clocks):
        finding = await check(settings_with())
        assert (finding.state, finding.found) == ("ok", "off: this node is alone")


async def test_postgresql_itself_is_well(clustered: Settings) -> None:
    assert (await cluster.sessions(clustered)).found == "each client has its own, and may end others of its role"
    assert (await cluster.peers(clustered)).found == "no other node is there yet"
    assert (await cluster.clocks(clustered)).state == "ok"


@pytest.mark.parametrize(("mode", "state"), [("session", "ok"), ("transaction", "fail"), ("statement", "fail")])
async def test_a_pooler_must_leave_sessions_to_their_clients(
    clustered: Settings, postgresql: Cluster, tmp_path: Path, mode: str, state: str
) -> None:
    with pooled(postgresql, tmp_path, mode) as port:
        database = clustered.database_url.rpartition("/")[2]
        finding = await cluster.sessions(replace(clustered, database_url=postgresql.url(database, port)))
    assert finding.state == state, finding
    if state == "fail":
        assert finding.mend == cluster.MEND_SESSIONS


async def test_a_database_that_does_not_answer_is_a_failure(clustered: Settings) -> None:
    away = replace(clustered, database_url=f"postgresql://postgres@127.0.0.1:{free_ports(1)}/none")
    for check in (cluster.sessions, cluster.peers, cluster.clocks):
        finding = await check(away)
        assert finding.state == "fail"
        assert "start the database" in finding.mend


async def test_a_peer_is_asked_whether_it_takes_us_for_one(member: Members) -> None:
    async with member("one") as one:
        mine = replace(one.settings, node_name="asked", cluster_listen=f"127.0.0.1:{free_ports(1)}")
        assert (await cluster.peers(mine)).found == "one: reached, and told the same as this node"
        other_price = await cluster.peers(replace(mine, price_per_minute=7))
        assert (other_price.state, other_price.found) == ("fail", "one was told other settings")
