"""Admins see all nodes from any of them, and drain any from any other."""

from __future__ import annotations

import asyncio
import signal

import aiohttp
import asyncpg  # type: ignore[import-untyped]
import pytest

from schemas.base import load
from schemas.live import LiveCallList
from schemas.node import Drained, Nodes, SampleSeries, Workers
from tests.app.ledger.later_release import of_a_later_release
from tests.app.ledger.postgres_cluster import Cluster
from tests.app.ops.scraped import Scraped
from tests.cluster.member import Members
from tests.conftest import eventually
from tests.crash.killed_node import Node
from voiceplane.client.errors import Refused

ANSWER_WITHIN_S = 3.0  # of which the node that stands still is given one
BURIED_WITHIN_S = 15.0

pytestmark = pytest.mark.timeout(120)


async def test_admins_see_all_nodes_from_each_of_them(member: Members, http: aiohttp.ClientSession) -> None:
    async with member.pair() as (one, two):
        roots = [node.api(http, "root", "admin") for node in (one, two)]
        await roots[0].open_call("here", "ann", "kyo")
        await roots[1].open_call("there", "bob", "rin")
        for root in roots:
            seen = load(Nodes, await root.request("GET", "/admin/nodes"))
            assert [(node.name, node.state) for node in seen.nodes] == [("one", "up"), ("two", "up")]
            assert all(node.address and node.version and node.beat_age_ms < 5000 for node in seen.nodes)
            ids = {node.node_id for node in seen.nodes}
            assert seen.answered_by in ids
            workers = load(Workers, await root.request("GET", "/admin/workers"))
            assert ({line.node for line in workers.workers}, workers.unanswered) == (ids, ())
            assert len({line.pid for line in workers.workers}) == 2
            series = load(SampleSeries, await root.request("GET", "/admin/series"))
            assert ({series.node, *(other.node for other in series.others)}, series.unanswered) == (ids, ())
            calls = load(LiveCallList, await root.request("GET", "/admin/calls"))
            assert [(call.call_id, call.worker) for call in calls.calls] == [("there", 0), ("here", 0)]
            assert ({call.node for call in calls.calls}, calls.unanswered) == (ids, ())
        names = {node.node_id: node.name for node in seen.nodes}
        assert [names[call.node] for call in calls.calls] == ["two", "one"]
        await eventually(lambda: calls_are_off(roots[0], {"one": 1, "two": 1}))


async def calls_are_off(root, expected: dict[str, int]):
    found = {one["name"]: one["liveCalls"] for one in (await root.request("GET", "/admin/nodes"))["nodes"]}
    return found != expected and f"{found}"


async def test_any_node_is_drained_from_any_other(member: Members, http: aiohttp.ClientSession) -> None:
    async with member.pair() as (one, two):
        root, other = one.api(http, "root", "admin"), two.api(http, "root", "admin")
        body = {"mode": "wait", "deadlineSeconds": 600}
        drained = load(Drained, await root.request("POST", "/admin/nodes/two/drain", body))
        assert (drained.draining, drained.mode, drained.live_calls) == (True, "wait", 0)
        assert load(Drained, await other.request("GET", "/admin/drain")) == drained
        assert (await root.request("GET", "/admin/drain"))["draining"] is False
        assert (await two.health(http))["status"] == "draining"
        await eventually(lambda: states_are_off(root, {"one": "up", "two": "draining"}))
        with pytest.raises(Refused, match="400 BAD_REQUEST"):
            await root.request("POST", "/admin/nodes/two/drain", {"mode": "other"})
        ids = {node["name"]: node["nodeId"] for node in (await root.request("GET", "/admin/nodes"))["nodes"]}
        assert not (await root.request("DELETE", f"/admin/nodes/{ids['two']}/drain"))["draining"]
        await eventually(lambda: states_are_off(root, {"one": "up", "two": "up"}))
        assert (await root.request("POST", f"/admin/nodes/{ids['one']}/drain"))["draining"]
        assert (await one.health(http))["status"] == "draining"
        with pytest.raises(Refused, match="404 NODE_NOT_FOUND"):
            await root.request("POST", "/admin/nodes/three/drain")
        with pytest.raises(Refused, match="403 FORBIDDEN"):
            await one.api(http, "ann", "user").request("POST", "/admin/nodes/two/drain")


async def states_are_off(root, expected: dict[str, str]):
    found = {one["name"]: one["state"] for one in (await root.request("GET", "/admin/nodes"))["nodes"]}
    return found != expected and f"{found}"


async def test_a_node_that_stands_still_is_named_and_holds_up_nobody(
    member: Members, http: aiohttp.ClientSession
) -> None:
    async with member.pair(node_lease_s=60.0) as (one, two):
        root = one.api(http, "root", "admin")
        await two.api(http, "root", "admin").open_call("there", "bob", "rin")
        [there] = [
            node["nodeId"] for node in (await root.request("GET", "/admin/nodes"))["nodes"] if node["name"] == "two"
        ]
        two.send_signal(signal.SIGSTOP)
        for path in ("/admin/workers", "/admin/series", "/admin/calls"):
            async with asyncio.timeout(ANSWER_WITHIN_S):
                body = await root.request("GET", path)
                assert body["unanswered"] == [there]
        assert [(call["callId"], call["worker"]) for call in body["calls"]] == [("there", None)]


async def test_a_database_that_stands_still_is_reported_and_takes_no_node_out(
    member: Members, postgresql: Cluster, http: aiohttp.ClientSession
) -> None:
    async with member("one") as one:
        with postgresql.frozen():
            await eventually(lambda: parts_are_off(one, http, {"database", "database_writer"}))
            assert (await one.health(http))["status"] == "ready"
            scraped = await scraped_of(one, http)
            assert scraped.total("voiceplane_nodes", state="up") == 1
            assert scraped.total("voiceplane_beat_age_seconds") > 0


async def parts_are_off(node: Node, http: aiohttp.ClientSession, failing: set[str]):
    found = {check["name"] for check in (await node.health(http))["checks"] if not check["ok"]}
    return found != failing and f"{found}"


async def test_the_metrics_tell_of_a_node_that_died(member: Members, http: aiohttp.ClientSession) -> None:
    async with member.pair() as (one, two):
        await eventually(lambda: nodes_are_off(one, http, up=2, buried=0))
        await two.kill()
        await eventually(lambda: nodes_are_off(one, http, up=1, buried=1), within_s=BURIED_WITHIN_S)
        scraped = await scraped_of(one, http)
        assert {sample.labels.get("node") for sample in scraped.samples} == {"one"}
        assert scraped.total("voiceplane_events_behind_seconds") < BURIED_WITHIN_S


async def test_calls_that_a_dead_node_has_left_are_seen_until_they_are_adopted(
    member: Members, http: aiohttp.ClientSession
) -> None:
    async with member.pair() as (one, two):
        root = one.api(http, "root", "admin")
        await two.api(http, "root", "admin").open_call("left", "bob", "rin")
        holder = await asyncpg.connect(member.url)
        try:
            await holder.execute("BEGIN")
            await holder.execute("SELECT * FROM calls WHERE id = 'left' FOR UPDATE")  # whoever adopts passes it by
            await two.kill()
            await eventually(lambda: states_are_off(root, {"one": "up", "two": "gone"}), within_s=BURIED_WITHIN_S)
            seen = load(Nodes, await root.request("GET", "/admin/nodes"))
            assert [node.live_calls for node in seen.nodes if node.state == "gone"] == [1]
            assert (await scraped_of(one, http)).total("voiceplane_nodes", state="gone") == 1
            with pytest.raises(Refused, match="404 NODE_NOT_FOUND"):
                await root.request("POST", "/admin/nodes/two/drain")
        finally:
            await holder.close()
        await eventually(lambda: states_are_off(root, {"one": "up"}))
        [adopted] = (await root.request("GET", "/admin/calls"))["calls"]
        assert (adopted["callId"], adopted["node"]) == ("left", seen.answered_by)
        assert (await scraped_of(one, http)).total("voiceplane_nodes", state="gone") == 0


async def nodes_are_off(node: Node, http: aiohttp.ClientSession, *, up: int, buried: int):
    scraped = await scraped_of(node, http)
    found = scraped.total("voiceplane_nodes", state="up"), scraped.total("voiceplane_nodes_buried_total")
    return found != (up, buried) and f"{found}"


async def scraped_of(node: Node, http: aiohttp.ClientSession) -> Scraped:
    async with http.get(
        f"{node.base}/metrics", headers={"Authorization": f"Bearer {node.token('root', 'admin')}"}
    ) as answer:
        return Scraped(await answer.text())


async def test_a_node_serves_on_a_schema_of_a_later_release_beside_one_that_is_up(
    member: Members, http: aiohttp.ClientSession
) -> None:
    async with member("one") as one:
        await of_a_later_release(member.url, oldest="0007")
        async with member("two") as two:
            await two.api(http, "root", "admin").open_call("there", "bob", "rin")
            await one.api(http, "root", "admin").open_call("here", "ann", "kyo")
            for node in (one, two):
                calls = (await node.api(http, "root", "admin").request("GET", "/admin/calls"))["calls"]
                assert [call["callId"] for call in calls] == ["here", "there"]
            root = one.api(http, "root", "admin")
            await root.request("POST", "/admin/calls/there/end")
            lines = (await root.request("GET", "/admin/audit?callId=there"))["entries"]
            assert [(line["action"], line["adminId"]) for line in lines] == [("call.end", "root")]  # by its node alone


async def test_what_only_peers_ask_is_closed_to_all_others(member: Members, http: aiohttp.ClientSession) -> None:
    async with member("one") as one:
        headers = {"Authorization": f"Bearer {one.token('root', 'admin')}"}
        body = {"callIds": ["call"]}
        for base in (one.base, f"http://{one.settings.cluster_listen}"):
            async with http.post(f"{base}/internal/calls/look", json=body, headers=headers) as response:
                assert response.status == 403
