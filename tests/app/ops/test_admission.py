"""A node that is full refuses new calls with the reason, whoever asks, and keeps those that live."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.keys import SAMPLER
from tests.app.ops.readiness import Balancer, problems
from tests.app.ops.shortage import without_sockets
from tests.conftest import eventually, serving
from tests.integration.ws import person
from voiceplane.client.errors import Refused

HARDLY_ANYTHING = 1e-6  # more than that is stress that even an idle loop has
LATE_S = 0.2
FORGOTTEN_WITHIN_S = 15.0


async def busy(server) -> None:
    """Until the node has noticed what its loop goes through."""
    while server.app[SAMPLER].stress.value <= server.settings.stress_limit:
        time.sleep(LATE_S)  # noqa: ASYNC251  # somebody's handler that does not let go
        await asyncio.sleep(0.01)


async def test_every_way_to_a_new_call_is_refused_with_the_reason(settings_with, http):
    async with (
        serving(settings_with(stress_limit=HARDLY_ANYTHING, price_per_minute=0)) as server,
        person(server, http, "user", "user") as user,
        person(server, http, "otomo", "otomo") as otomo,
        person(server, http, "root", "admin") as admin,
    ):
        await busy(server)
        asked = {"userId": "a", "otomoId": "b"}
        assert await admin.refused("POST", "/admin/calls", asked) == (503, "OVERLOADED")
        assert await user.refused("POST", "/calls", {"otomoId": "otomo"}) == (503, "OVERLOADED")
        headers = server.headers("user", "user")
        async with http.post(server.url("/calls"), json={"otomoId": "otomo"}, headers=headers) as response:
            body = await response.json()
        assert response.headers["Retry-After"] == "5"
        assert body["message"] == "サーバーが混み合っています。"
        [detail] = body["details"]
        assert "is above the limit of 1e-06: " in detail["problem"]
        answer = await user.socket.command("call_request", otomoId="otomo")
        assert answer["payload"]["code"] == "OVERLOADED"
        assert "above the limit" in answer["payload"]["context"]["details"][0]["problem"]
        assert otomo.socket.told == []
        assert len(server.registry) == 0


async def test_a_full_node_stays_ready_says_why_it_is_full_and_takes_calls_again(settings_with, http):
    async with (
        serving(settings_with(stress_limit=0.5, price_per_minute=0)) as server,
        person(server, http, "user", "user") as user,
        person(server, http, "otomo", "otomo") as otomo,
    ):
        await user.api.request("POST", "/calls", {"otomoId": "otomo", "callId": "u_before"})
        await busy(server)
        assert await user.refused("POST", "/calls", {"otomoId": "otomo"}) == (409, "OTOMO_BUSY"), "409 before 503"
        status, body = await Balancer(http, server.base).poll()
        assert (status, body["status"]) == (200, "ready")
        assert "the event loop is" in problems(body)["stress"]
        assert body["stress"] > 0.5
        await otomo.api.request("POST", "/calls/u_before/accept")
        await user.api.request("POST", "/calls/u_before/end")

        async def refused() -> str | None:
            try:
                await user.api.request("POST", "/calls", {"otomoId": "otomo"})
            except Refused as error:
                return error.code
            return None

        assert await refused() == "OVERLOADED"
        await eventually(refused, within_s=FORGOTTEN_WITHIN_S)


async def test_calls_are_refused_while_no_worker_has_descriptors_and_health_says_the_same(settings_with, http):
    async with (
        serving(settings_with(workers=2, stress_limit=0)) as server,
        person(server, http, "root", "admin") as admin,
    ):
        balancer, asked = Balancer(http, server.base), {"userId": "a", "otomoId": "b"}
        first, second = (slot.worker.pid for slot in server.pool.slots)
        with without_sockets(first):
            assert (await balancer.poll())[0] == 200, "one worker is enough"
            await admin.api.request("POST", "/admin/calls", asked)
            with without_sockets(second):
                await balancer.turns(503, "the last worker was out of descriptors")
                assert await admin.refused("POST", "/admin/calls", {"userId": "c", "otomoId": "d"}) == (
                    503,
                    "OVERLOADED",
                )
        await balancer.turns(200, "they had some again")
        await admin.api.request("POST", "/admin/calls", {"userId": "c", "otomoId": "d"})


async def test_a_limit_of_zero_refuses_nothing(settings_with, http):
    async with serving(settings_with(stress_limit=0)) as server, person(server, http, "root", "admin") as admin:
        time.sleep(LATE_S)  # noqa: ASYNC251
        await eventually(lambda: not server.app[SAMPLER].stress.value and "it has not been late")
        await admin.api.request("POST", "/admin/calls", {"userId": "a", "otomoId": "b"})


@pytest.mark.parametrize("limit", [-0.1, 101, float("nan")])
def test_a_limit_that_makes_no_sense_is_refused(settings_with, limit):
    with pytest.raises(Exception, match="VOICEPLANE_STRESS_LIMIT must be"):
        settings_with(stress_limit=limit)
