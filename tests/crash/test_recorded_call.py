"""A recorded call whose node is killed, or stopped, in the middle: it goes on being recorded, in the same files."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest

from app.settings import Settings
from tests.conftest import eventually
from tests.conversation import conversation
from tests.crash.killed_node import Node, started
from tests.integration.recorded import Leg, legs_of_ended, recordings_of, stored
from voiceplane.client.api import Api

WINDOW_S, TOO_SHORT_S = 60.0, 1.0
LOST_S = 2.0  # of what was said before the node was killed, at most
TALK_FRAMES = 200  # 4 s


@pytest.fixture
def settings(own_settings: Callable[..., Settings]) -> Settings:
    return own_settings(recording=True, reconnect_window_s=WINDOW_S)


def people(node: Node, http: aiohttp.ClientSession) -> tuple[Api, Api, Api]:
    return node.api(http, "root", "admin"), node.api(http, "ann", "user"), node.api(http, "hana", "otomo")


async def opened(admin: Api) -> None:
    opening = {"callId": "call", "userId": "ann", "otomoId": "hana", "pricePerMinute": 0, "record": True}
    await admin.request("POST", "/admin/calls", opening)


def talks(leg: Leg) -> list[tuple[int, int]]:
    """When it is loud for a second and more: tenths of a second, from and to."""
    loud = [*leg.loud(), False]
    found, begin = [], None
    for step, one in enumerate(loud):
        if one and begin is None:
            begin = step
        elif not one and begin is not None:
            if step - begin >= 10:
                found.append((begin, step))
            begin = None
    return found


@pytest.mark.parametrize("end", ["killed", "stopped"])
async def test_a_call_is_recorded_beyond_its_process(settings, http, tmp_path, end):
    async with started(settings) as node:
        admin, user, otomo = people(node, http)
        await opened(admin)
        async with conversation(user, otomo, "call") as talk:
            await talk.heard(TALK_FRAMES)
            before = await recordings_of(admin)
            assert [one["state"] for one in before] == ["recording", "recording"]
            if end == "killed":
                await node.kill()
            else:
                node.send_signal(signal.SIGTERM)
                await node.exit_code(30.0)
    async with started(settings) as node:
        admin, user, otomo = people(node, http)
        await eventually(lambda: not_moved(admin))
        async with conversation(user, otomo, "call") as talk:
            await talk.heard(TALK_FRAMES)
            await admin.request("POST", "/admin/calls/call/end")
        legs = await legs_of_ended(node, admin, tmp_path)
        after = await stored(admin)
    assert [one["recordingId"] for one in after] == [one["recordingId"] for one in before]
    for leg in legs.values():
        first, *_, second = talks(leg)
        assert first[1] - first[0] >= TALK_FRAMES // 5 - LOST_S * 10, "less is lost than may be"
        assert second[1] - second[0] >= TALK_FRAMES // 5 - 10


async def not_moved(admin: Api) -> str | None:
    epoch = (await admin.request("GET", "/calls/call"))["mediaEpoch"]
    return None if epoch == 2 else f"it is in room {epoch}"


async def test_what_a_dead_node_left_of_a_call_that_nobody_came_back_to_is_as_long_as_the_call(
    own_settings, http, tmp_path: Path
):
    settings = own_settings(recording=True, reconnect_window_s=TOO_SHORT_S)
    async with started(settings) as node:
        admin, user, otomo = people(node, http)
        await opened(admin)
        async with conversation(user, otomo, "call") as talk:
            await talk.heard(TALK_FRAMES)
            await node.kill()
    await asyncio.sleep(TOO_SHORT_S)  # the time in which somebody could have come back has to pass
    async with started(settings) as node:
        admin, _, _ = people(node, http)
        legs = await legs_of_ended(node, admin, tmp_path)
        assert min(leg.heard_s() for leg in legs.values()) > TALK_FRAMES / 50 - LOST_S - 1.5
