"""A node that is alone, where admins look at nodes."""

from __future__ import annotations

import pytest

from app.keys import LEDGER, SETTINGS
from schemas.base import load
from schemas.node import Nodes
from voiceplane.client.errors import Refused


async def test_a_node_that_is_alone_names_itself(server, admin):
    seen = load(Nodes, await admin.request("GET", "/admin/nodes"))
    [node] = seen.nodes
    assert seen.answered_by == node.node_id == server.app[LEDGER].node
    assert (node.name, node.number, node.address) == (server.app[SETTINGS].node_name, 0, None)
    assert (node.state, node.live_calls, node.beat_age_ms) == ("up", 0, 0)


@pytest.mark.parametrize("called", ["node_id", "name"])
async def test_it_is_drained_by_its_id_or_name(server, admin, called):
    [node] = load(Nodes, await admin.request("GET", "/admin/nodes")).nodes
    path = f"/admin/nodes/{getattr(node, called)}/drain"
    drained = await admin.request("POST", path, {"mode": "end"})
    assert drained == await admin.request("GET", "/admin/drain")
    assert (drained["draining"], drained["mode"]) == (True, "end")
    [node] = load(Nodes, await admin.request("GET", "/admin/nodes")).nodes
    assert node.state == "draining"
    assert not (await admin.request("DELETE", path))["draining"]


async def test_there_is_no_other(admin):
    for method in ("POST", "DELETE"):
        with pytest.raises(Refused, match="404 NODE_NOT_FOUND"):
            await admin.request(method, "/admin/nodes/another/drain")
