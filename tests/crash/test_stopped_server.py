"""A node that is asked to stop for good (SIGINT): its calls end, their parties hear it, nothing is left for a start."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack

import pytest
from aiohttp import WSCloseCode

from schemas.call import CallState
from tests.conftest import eventually
from tests.crash.books import books_at
from tests.crash.killed_node import WORKER_GONE_WITHIN_S, started, still_there
from tests.integration.ws import connected
from tests.party import Party

STOPPED_WITHIN_S = 10.0
POINTS = 1000


@pytest.mark.parametrize("to_group", [False, True], ids=["as a supervisor does", "as a terminal does"])
async def test_a_node_that_is_stopped_ends_its_calls_first(own_settings, http, to_group):
    settings = own_settings()
    async with started(settings) as node, AsyncExitStack() as stack:
        admin = node.api(http, "root", "admin")
        gift = {"amount": POINTS, "reason": "gift", "idempotencyKey": "gift"}
        await admin.request("POST", "/admin/wallets/user/adjust", gift)
        sockets = [
            await stack.enter_async_context(connected(http, node.base, node.token(role, role)))
            for role in ("user", "otomo")
        ]
        await admin.open_call("talks", "user", "otomo")
        for role in ("user", "otomo"):
            party = await stack.enter_async_context(Party.joined(node.api(http, role, role), "talks"))
            await party.send(440.0)
        await sockets[0].until("call_tick", "talks", count=2)
        await admin.open_call("sets-up", "user", "otomo")
        await node.api(http, "user", "user").create_transport("sets-up", "send")
        workers = node.workers()
        assert workers

        node.send_signal(signal.SIGINT, to_group=to_group)
        ends = [await client.until("call_end", call_id) for client in sockets for call_id in ("talks", "sets-up")]
        assert {end["reason"] for end in ends} == {"system_error"}
        for client in sockets:
            socket = client._socket
            await eventually(lambda socket=socket: socket.close_code is None and "it is open")
            assert socket.close_code == WSCloseCode.GOING_AWAY
            assert len(client.payloads("call_end")) == 2, "ends are told once"
        assert await node.exit_code(STOPPED_WITHIN_S) == 0
        await eventually(lambda: still_there(workers), within_s=WORKER_GONE_WITHIN_S)
        assert node.log("error") + node.log("critical") + node.log("warning") == []

    books = await books_at(settings.database_url, ["user"])
    assert books.audit == ()
    assert {call.state for call in books.calls.values()} == {CallState.ENDED}
    ticks = sockets[0].payloads("call_tick", "talks")
    assert [unit.index for unit in books.units["talks"]] == [tick["tickNumber"] for tick in ticks]
    assert books.balances["user"] == ticks[-1]["userBalance"]
    async with started(settings) as node:
        answer = await node.api(http, "root", "admin").request("GET", "/admin/recovery")
        assert answer == {"recovered": []}
