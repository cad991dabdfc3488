"""An admin listens and speaks in a call by whichever node they ask, and goes with it when its node is drained or
dies."""

from __future__ import annotations

import signal

import aiohttp
import pytest

from tests.cluster.member import Members
from tests.cluster.talk import ears, talking
from tests.conftest import eventually
from tests.integration.callers import End
from tests.integration.listeners import ADMIN_HZ, listening, supervised, supervisions, tone_is_heard
from tests.integration.ws import connected
from voiceplane.client import Api

USER_HZ, OTOMO_HZ = 440.0, 880.0

pytestmark = pytest.mark.timeout(180)


async def is_heard_by_both_and_hears_both(root: Api, call_id: str, ends: list[End]) -> None:
    async with listening(root, call_id) as listener:
        await listener.hears(user=USER_HZ, otomo=OTOMO_HZ)
        await listener.party.send(ADMIN_HZ)
        for end in ends:
            await tone_is_heard(end)


@pytest.mark.parametrize("how", ["drained", "killed"])
async def test_a_supervisor_goes_with_the_call(member: Members, http: aiohttp.ClientSession, how: str) -> None:
    async with member.pair(supervision=True) as (one, two):
        root = two.api(http, "root", "admin")  # the call lives on the other one
        async with (
            connected(http, two.base, two.token("root", "admin")) as told,
            talking(one, two, paid=False) as talk,
            ears(talk.user, talk.otomo) as ends,
        ):
            supervision_id = await supervised(root, talk.call_id, "barge")
            await is_heard_by_both_and_hears_both(root, talk.call_id, ends)
            if how == "drained":
                await one.api(http, "root", "admin").request("POST", "/admin/drain", {"mode": "move"})
            else:
                one.send_signal(signal.SIGKILL)
            await talk.goes_on(2)
            seen = await told.until("supervision", talk.call_id, count=2)
            assert (seen["supervisionId"], seen["mode"], seen["mediaEpoch"]) == (supervision_id, "barge", 2)
            await told.until("producer_added", talk.call_id, count=2)
            await eventually(lambda: why_not_two(root, talk.call_id))
            await is_heard_by_both_and_hears_both(root, talk.call_id, ends)
            assert [one["supervisionId"] for one in await supervisions(root, talk.call_id)] == [supervision_id]
            path = f"/admin/calls/{talk.call_id}/supervise/{supervision_id}"
            assert (await root.request("PATCH", path, {"mode": "listen"}))["mode"] == "listen"
            await talk.user.hang_up()
            assert (await told.until("supervision_ended", talk.call_id))["reason"] == "call_ended"
        await eventually(lambda: why_audit_differs(root, talk.call_id))


async def why_not_two(root: Api, call_id: str) -> str | None:
    """Both parties send in the new room."""
    found = (await root.request("GET", f"/rtc/rooms/{call_id}/producers"))["producers"]
    return None if len(found) == 2 else f"{found}"


async def why_audit_differs(root: Api, call_id: str) -> str | None:
    """Each thing is written down once, whichever node did it."""
    lines = (await root.request("GET", f"/admin/audit?callId={call_id}"))["entries"]
    actions = [line["action"] for line in reversed(lines)]
    return f"{actions}" if actions != [f"supervision.{word}" for word in ("start", "change", "end")] else None
