"""Clients whose node is killed and started again: they come back by themselves, and talk on in the same call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from app.settings import Settings
from tests.crash.killed_node import started
from tests.integration.callers import scene
from voiceplane.client import Moved, Resumed, Tick
from voiceplane.testcall import OTOMO_HZ, USER_HZ


async def test_clients_talk_on_when_their_node_is_back(own_settings: Callable[..., Settings]) -> None:
    settings = own_settings()
    async with started(settings) as node, scene(node) as made:
        user, otomo = await made.talk()
        await user.told.until(Tick, 3)
        await node.kill()
        async with started(settings):
            for end in (user, otomo):
                assert await end.told.until(Moved) == Moved(media_epoch=2)
                await end.told.until(Resumed)
            await asyncio.gather(user.hears(OTOMO_HZ), otomo.hears(USER_HZ))
            assert (user.call.state, otomo.call.state) == ("talking", "talking")
            await user.told.until(Tick, 5)
            end_of_call = await user.call.hang_up()
            assert end_of_call.reason == "manual"
            assert (await otomo.call.ended()) == end_of_call
            ticks = [event.tick_number for event in user.told.events if isinstance(event, Tick)]
            assert ticks == list(range(1, len(ticks) + 1))
            assert end_of_call.total_charged_points == len(ticks) * settings.price_per_minute
