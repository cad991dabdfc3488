"""What a call leaves behind goes by itself: the collector, which is told to look seldom, is not needed for it."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import ref

import pytest

from tests.conftest import eventually, serving
from tests.conversation import conversation
from tests.integration.conftest import open_call_on


@contextmanager
def no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@pytest.mark.parametrize("ending", ["by a party", "by an admin", "by the death of its worker"])
async def test_a_call_leaves_no_cycle(ending, settings_with, http):
    # The meter holds a call until its next unit would have been due.
    async with serving(settings_with(unit_seconds=1)) as server:
        call = await open_call_on(server, http)
        with no_collector():
            async with conversation(call.user, call.otomo, call.call_id) as talk:
                await talk.heard()
                room = server.registry.call(call.call_id).room
                inside = [*room.transports.values(), *room.producers.values(), *room.consumers.values()]
                left = [ref(one) for one in (room, room.router, *(each_of(one) for one in inside))]
                del room, inside
                match ending:
                    case "by a party":
                        await call.user.request("DELETE", f"/rtc/rooms/{call.call_id}/cleanup")
                    case "by an admin":
                        await call.admin.request("POST", f"/admin/calls/{call.call_id}/end", {})
                    case _:
                        os.kill(server.pool.slots[0].worker.pid, signal.SIGKILL)
                await eventually(lambda: [repr(one()) for one in left if one() is not None])
        assert len(left) == 10


def each_of(owned: object) -> object:
    """The bridge's object in what a room keeps of it."""
    return next(getattr(owned, name) for name in ("transport", "producer", "consumer") if hasattr(owned, name))
