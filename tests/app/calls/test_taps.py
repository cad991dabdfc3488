"""Who listens to a call gets its packets from each of its rooms, and its worker none that nobody wants."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.calls.call import CallEvent, EndReason, LiveCall
from app.calls.taps import Taps
from tests.app.calls.moving_calls import Workshop, in_room, workshop_with
from tests.app.media.speaking import speaking
from tests.app.media.test_tap import Heard, heard_by
from tests.conftest import eventually


@pytest.fixture
async def shop(desk_with, native_worker) -> AsyncIterator[Workshop]:
    async with workshop_with(native_worker, desk_with) as made:
        yield made


@pytest.fixture
async def taps(shop) -> AsyncIterator[Taps]:
    made = Taps(shop.desk.lifecycle)
    yield made
    await made.close()


async def transports(call: LiveCall) -> int:
    return len((await call.room.router.dump())["transport_ids"])


async def test_all_who_listen_get_the_packets_that_come_once(shop, taps):
    call = await shop.talking()
    first, second = Heard(), Heard()
    stop_first = taps.listen(call, first)
    taps.listen(call, second)
    speaker = await speaking(call.room)
    await heard_by(first, speaker, "user", b"\xf8to both")
    assert second.packets == first.packets
    stop_first()
    stop_first()
    await heard_by(second, speaker, "user", b"\xf8to one")
    assert b"\xf8to one" not in first.payloads("user")


async def test_the_last_who_stops_takes_the_transport_along(shop, taps):
    call = await shop.talking()
    speaker = await speaking(call.room)
    stops = [taps.listen(call, heard := Heard()) for _ in range(2)]
    await heard_by(heard, speaker, "user", b"\xf8")
    assert await transports(call) == 2
    stops[0]()
    assert await transports(call) == 2
    stops[1]()
    assert await transports(call) == 1
    taps.listen(call, again := Heard())
    await heard_by(again, speaker, "user", b"\xf8again")


async def test_who_listens_before_there_is_a_room_gets_what_is_sent_in_it(shop, taps):
    call = await shop.desk.talking(price=0)
    taps.listen(call, heard := Heard())
    shop.desk.lifecycle.enter_room(call, await shop.desk.rooms.open(call.id, call.parties, call.epoch))
    await heard_by(heard, await speaking(call.room), "user", b"\xf8")


async def test_it_follows_a_call_into_its_next_room(shop, taps):
    call = await shop.talking()
    taps.listen(call, heard := Heard())
    await heard_by(heard, await speaking(call.room), "user", b"\xf8in the first")
    shop.worker_dies(call)
    await eventually(lambda: call.room is not None and "it still has its room")
    await shop.worker_starts()
    speaker = await speaking(await in_room(call, 2), "otomo")
    await heard_by(heard, speaker, "otomo", b"\xf8in the second")


async def test_it_ends_with_the_call(shop, taps):
    call = await shop.talking()
    stop = taps.listen(call, heard := Heard())
    await heard_by(heard, await speaking(call.room), "user", b"\xf8")
    await shop.desk.lifecycle.end(call, CallEvent.FAIL, EndReason.ADMIN, "an admin")
    stop()
    assert taps._calls == {}
