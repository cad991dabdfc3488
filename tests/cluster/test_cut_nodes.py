"""A node that is cut off: from the database, at each moment of a transaction (C3); or from another node (C4)."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from tests.app.ledger.postgres_cluster import Cluster
from tests.cluster.cut_line import CutLine, Moment, Statements
from tests.cluster.member import Members
from tests.cluster.proof import Proof
from tests.cluster.service import LEASE_S, Service
from tests.cluster.talk import talking
from tests.cluster.test_frozen_nodes import ADOPTED_WITHIN_S, BUSY_S, not_back, still_of
from tests.conftest import eventually
from voiceplane.client.api import Api
from voiceplane.client.errors import Refused

WRITES_LATE_S = 1.2
WRITE_EVERY_S = 0.05
WAKES_WITHIN_S = 30.0
CUTS: list[tuple[str, Moment]] = [("before", "drawing"), ("before", "commit"), ("after", "commit")]

pytestmark = pytest.mark.timeout(300)


async def write_on(service: Service, http: aiohttp.ClientSession, waits: list[float]) -> None:
    """Until cancelled: writes that draw a number each, at a node that nothing happens to."""
    admin = service.nodes["two"].api(http, "root", "admin")
    while True:
        began = time.monotonic()
        point = {"amount": 1, "reason": "gift", "idempotencyKey": f"point-{began}"}
        await admin.request("POST", "/admin/wallets/somebody/adjust", point)
        waits.append(time.monotonic() - began)
        await asyncio.sleep(WRITE_EVERY_S)


async def test_a_node_that_is_cut_off_from_the_database_holds_nobody_up(
    member: Members, postgresql: Cluster, http: aiohttp.ClientSession, proof: Proof
) -> None:
    async with CutLine.to(postgresql.port, Statements) as line:
        only = {"one": {"database_url": member.url.replace(f":{postgresql.port}/", f":{line.port}/")}}
        async with Service.running(member, only=only) as service:
            for number, (when, moment) in enumerate(CUTS, 1):
                held = await cut(service, http, line, (f"call-{number}", when, moment))
                proof("C3", f"a node cut from the database {when} the {moment}", held)
            await service.books("user")


async def cut(service: Service, http: aiohttp.ClientSession, line: CutLine, what: tuple[str, str, Moment]) -> str:
    """Cut the line under a call, and mend it once its call is another node's."""
    call_id, when, moment = what
    before, waits = await service.incarnations(), []
    writing = asyncio.create_task(write_on(service, http, waits))
    try:
        async with talking(service.nodes["one"], service.nodes["two"], call_id) as talk:
            await talk.pays()
            setattr(line, f"cut_{when}", moment)
            await asyncio.wait_for(line.was_cut.wait(), BUSY_S + 5)
            began = time.monotonic()
            await eventually(lambda: still_of(service, "one", call_id), within_s=LEASE_S + ADOPTED_WITHIN_S + BUSY_S)
            adopted_s = time.monotonic() - began
            await talk.goes_on(2)
            await talk.pays()
            line.mend()
            await eventually(lambda: not_back(service, before), within_s=WAKES_WITHIN_S)
            await talk.user.hang_up()
            assert talk.units
    finally:
        writing.cancel()
        await asyncio.wait([writing])
        line.mend()
    assert writing.cancelled(), writing.exception()
    assert max(waits) <= WRITES_LATE_S + BUSY_S
    return f"others' writes took {max(waits):.2f} s at most, adopted after {adopted_s:.2f} s, units in order"


async def test_a_request_whose_owner_can_t_be_reached_is_refused_or_done_once(
    member: Members, http: aiohttp.ClientSession, proof: Proof
) -> None:
    async with (
        Service.running(member, max_transports_per_direction=8) as service,  # so that one more closes none
        talking(service.nodes["one"], service.nodes["two"]) as talk,
    ):
        before = await service.incarnations()
        address = service.nodes["one"].settings.cluster_listen
        async with CutLine.to(int(address.rpartition(":")[2])) as line:
            await service.write(f"UPDATE nodes SET address = 'http://127.0.0.1:{line.port}' WHERE name = 'one'")
            api = service.nodes["two"].api(http, "user", "user")
            await eventually(lambda: asked_elsewhere(line, api))
            for answers_only in (True, False):
                have = await transports(service, http)
                line.cut(answers_only=answers_only)
                with pytest.raises(Refused, match="503"):
                    await api.create_transport("call", "send")
                line.mend()
                await talk.pays()
                more = await transports(service, http) - have
                assert more in ((1,) if answers_only else (0, 1))
                done = "only the answers" if answers_only else "both ways"
                proof("C4", f"a node cut from another, {done}", f"503; {more} times done; no takeover")
            assert await service.incarnations() == before
            assert (await service.call("call")).epoch == 1


async def transports(service: Service, http: aiohttp.ClientSession) -> int:
    """That the user has in the call."""
    seen = await service.nodes["one"].api(http, "root", "admin").request("GET", "/admin/calls/call")
    [user] = [party for party in seen["live"]["parties"] if party["userId"] == "user"]
    return len(user["transports"])


async def asked_elsewhere(line: CutLine, api: Api) -> str | None:
    """Why the line is not used yet: nodes read where the others are with each beat."""
    await api.call("call")
    return None if line.connections else "nobody has asked through it"
