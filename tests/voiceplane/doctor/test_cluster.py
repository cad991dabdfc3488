"""What the doctor finds of a cluster: at PostgreSQL itself, behind a pooler, and with a peer that runs."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]
import pytest

from app.cluster.membership import Membership, session_name
from app.ledger.nodes import Joining, new_incarnation
from app.ledger.upgrade import upgrade
from app.settings import Settings
from app.shared_settings import config_hash
from tests.app.ledger.postgres_cluster import Cluster, as_postgres
from tests.cluster.conftest import member, postgresql
from tests.cluster.member import CLUSTER_SECRET, Members
from tests.conftest import free_ports
from voiceplane.doctor import cluster

__all__ = ["member", "postgresql"]

PATIENCE_S = 20.0
LEASE_S = 1.0
ROLES = ("doctor_theirs", "doctor_ours")  # of one cluster of databases, whoever tests there
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
    for check in (cluster.sessions, cluster.address, cluster.peers, cluster.clocks):
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
        other_secret = await cluster.peers(replace(mine, cluster_secret=CLUSTER_SECRET[::-1]))
        assert (other_secret.state, other_secret.found) == ("fail", "one takes this node for a stranger")
        assert "VOICEPLANE_CLUSTER_SECRET" in other_secret.mend
        own = await cluster.address(one.settings)
        assert own.found == f"{one.settings.cluster_listen} is reached by nodes on this machine alone", "it runs there"


async def test_a_peer_that_is_not_reached_is_named(clustered: Settings) -> None:
    await upgrade(clustered.database_url)
    async with Membership.joined(clustered.database_url, joining("away", clustered), LEASE_S):
        finding = await cluster.peers(clustered)
    assert (finding.state, finding.mend) == ("fail", "let nodes reach one another at CLUSTER_LISTEN, and nobody else")
    assert finding.found.startswith("away is not reached at http://127.0.0.1:1 (")


async def test_a_node_whose_sessions_our_role_may_not_end_is_found(clustered: Settings, postgresql: Cluster) -> None:
    name = clustered.database_url.rpartition("/")[2]
    admin = await asyncpg.connect(clustered.database_url)
    try:
        for role in ROLES:
            await admin.execute(f"DROP ROLE IF EXISTS {role}")
            await admin.execute(f"CREATE ROLE {role} LOGIN")
            await admin.execute(f"GRANT ALL ON SCHEMA public TO {role}")
        owned, ours = [postgresql.url(name).replace("postgres@", f"{role}@") for role in ROLES]
        await upgrade(owned)
        await admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {ROLES[1]}")
        mine = replace(clustered, database_url=ours)
        assert (await cluster.sessions(mine)).state == "ok"
        async with Membership.joined(owned, joining("theirs", clustered), LEASE_S):
            finding = await cluster.sessions(mine)
            assert finding.state == "fail"
            assert finding.found.startswith(f"the role may not end sessions of {ROLES[0]}, ")
            assert "pg_signal_backend" in finding.mend
            await admin.execute(f"GRANT pg_signal_backend TO {ROLES[1]}")
            assert (await cluster.sessions(mine)).state == "ok"
        async with Membership.joined(clustered.database_url, joining("of a superuser", clustered), LEASE_S):
            finding = await cluster.sessions(mine)
            assert finding.found.startswith("the role may not end sessions of postgres, ")
    finally:
        for role in ROLES:
            await admin.execute(f"DROP OWNED BY {role}")
            await admin.execute(f"DROP ROLE {role}")
        await admin.close()


@pytest.mark.parametrize(
    ("listen", "state", "found"),
    [
        ("0.0.0.0:{port}", "fail", "which leads nobody here"),
        ("nowhere.invalid:{port}", "fail", "nowhere.invalid is no address here"),
        ("192.0.2.1:{port}", "fail", "192.0.2.1:{port} can't be had"),
        ("127.0.0.1:{port}", "warn", "reached by nodes on this machine alone"),
    ],
)
async def test_an_address_that_others_do_not_reach_is_found(
    clustered: Settings, listen: str, state: str, found: str
) -> None:
    port = free_ports(1)
    finding = await cluster.address(replace(clustered, cluster_listen=listen.format(port=port)))
    assert finding.state == state
    assert found.format(port=port) in finding.found


async def test_an_address_that_somebody_else_holds_is_found(clustered: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        finding = await cluster.address(replace(clustered, cluster_listen=listen))
    assert finding.state == "fail"
    assert finding.found.startswith(f"{listen} is held by ")


def joining(name: str, settings: Settings) -> Joining:
    return Joining(
        incarnation=new_incarnation("node"),
        name=name,
        address="http://127.0.0.1:1",
        session=session_name(),
        version="1",
        config_hash=config_hash(settings),
    )
