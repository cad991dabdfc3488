"""A recorded call that moves to another node: each node writes its own part, and all parts begin at ``connectedAt``."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tests.app.recording.judges import faults_in
from tests.cluster.member import Members
from tests.cluster.talk import talking
from tests.conftest import eventually
from tests.crash.killed_node import Node
from tests.integration.recorded import Leg, fetched, recordings_of, stored
from voiceplane.client.api import Api

HZ = {"user": 440.0, "otomo": 880.0}
TALK_S = 4.0
LEAST_S = 1.0  # that is heard in each part: of what was said before a node was killed, two seconds may be lost

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("how", ["drained", "killed"])
async def test_each_node_of_a_recorded_call_leaves_a_part(
    member: Members, http: aiohttp.ClientSession, tmp_path: Path, how: str
) -> None:
    told = {"recording": True, "recording_url": str(tmp_path / "kept")}
    async with member.pair(**told) as (one, two):
        root = two.api(http, "root", "admin")
        async with talking(one, two, paid=False) as talk:
            await root.request("POST", f"/admin/calls/{talk.call_id}/recording", {"reason": "a complaint"})
            await eventually(lambda: files_are_not(root, talk.call_id, 2))
            await asyncio.sleep(TALK_S)  # so much is said
            if how == "drained":
                await one.api(http, "root", "admin").request("POST", "/admin/drain", {"mode": "move"})
            else:
                await one.kill()
            await talk.goes_on(2)
            await asyncio.sleep(TALK_S)
            await talk.user.hang_up()
        if how == "drained":
            await holds(two, root, talk.call_id, tmp_path)
        else:
            async with member("one", **told):  # which has the dead one's files, and ends them
                await holds(two, root, talk.call_id, tmp_path)


async def files_are_not(root: Api, call_id: str, count: int) -> str | None:
    found = await recordings_of(root, call_id)
    return None if len(found) == count else f"files are {found}"


async def holds(node: Node, root: Api, call_id: str, folder: Path) -> None:
    """Both parts of both legs are stored, in order, and hold what was said while the call was on their node."""
    began: dict[int, float] = {}
    for one in await stored(root, call_id, parts=2):
        path = await fetched(node, one, folder)
        assert faults_in(path) == []
        leg = Leg(path)
        assert leg.pitch() == pytest.approx(HZ[one["role"]], abs=3)
        assert leg.heard_s() >= LEAST_S
        began[one["part"]] = leg.loud().index(True) / 10
    assert began[2] - began[1] > TALK_S - 2 * LEAST_S, "the second part is silent until the call has moved"
