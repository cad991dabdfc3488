"""A cluster of one release becomes one of the next, node by node, under its calls (C7)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from tests.cluster.earlier_release import earlier_release, last_migration
from tests.cluster.load import held, moves_of, wrongs
from tests.cluster.member import Members
from tests.cluster.proof import LONG, Proof, percentile
from tests.cluster.service import NAMES, Service
from tests.crash.killed_node import ROOT
from voiceplane.loadtest.moves import Kill

CALLS, HOLD_S = 12, 90.0
ENDS_WITHIN_S = 30.0
UPGRADES_WITHIN_S = 60.0

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not LONG, reason="it takes minutes: make test-cluster runs it"),
]


async def test_a_cluster_is_upgraded_node_by_node_and_no_call_is_lost(
    member: Members, tmp_path: Path, proof: Proof
) -> None:
    before = earlier_release(tmp_path, member.settings_of("asked"))
    head = last_migration(ROOT).name.partition("_")[0]
    old = {name: {"environment": before.environment} for name in NAMES}
    async with Service.running(member, only=old, drain_timeout_s=ENDS_WITHIN_S / 2) as service:
        assert await schema_of(service) == before.head
        replaced: list[str] = []

        async def upgrade_all(_: list[Kill]) -> None:
            assert await upgraded(member.url, tmp_path) == {"before": before.head, "after": head}
            for name in NAMES:
                service.nodes[name].send_signal(signal.SIGTERM)
                assert await service.nodes[name].exit_code(ENDS_WITHIN_S) == 0
                await service.start(name)
                replaced.append(name)

        findings = await held(service, CALLS, HOLD_S, upgrade_all)
        assert await schema_of(service) == head
        await service.books()
    moves = moves_of(findings)
    assert replaced == list(NAMES), "the calls ended before all nodes were replaced"
    assert moves, "no call was moved: this proves nothing"
    gap_ms = percentile([gap for move in moves for gap in move.gaps_ms], 0.95)
    proof(
        "C7",
        f"release {before.commit[:9]} (schema {before.head}) replaced by this one ({head}) under {CALLS} calls",
        f"{len(moves)} moves, gap in the sound p95 {gap_ms:.0f} ms; "
        + ("0 calls lost, 0 units wrong, books clean" if not [*wrongs(findings)] else "wrongs"),
    )
    assert list(wrongs(findings)) == []


async def schema_of(service: Service) -> str:
    [(revision,)] = await service.rows("SELECT version_num FROM alembic_version")
    return str(revision)


async def upgraded(url: str, folder: Path) -> dict[str, str]:
    """What `voiceplane db upgrade` of this release says it did."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voiceplane", "db", "upgrade", "--json"),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "VOICEPLANE_DATABASE_URL": url},
        stdout=PIPE,
    )
    async with asyncio.timeout(UPGRADES_WITHIN_S):
        out, _ = await process.communicate()
    assert process.returncode == 0
    return dict(json.loads(out))
