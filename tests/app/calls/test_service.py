"""What a command that was refused, or came twice, leaves behind. What each answers is in `tests/integration`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from app.access.standing import Standing
from app.access.tokens import Claims
from app.calls.attempts import Attempts
from app.calls.call import LiveCall
from app.calls.directory import Directory
from app.calls.presence import Presence
from app.calls.rates import Rates
from app.calls.service import CallService
from app.calls.timers import CallTimers
from app.errors import (
    AppError,
    BadRequest,
    CallerBusy,
    CallNotFound,
    Forbidden,
    InsufficientPoints,
    InvalidCallState,
    OtomoBusy,
    OtomoNotFound,
    OtomoOffline,
    Overloaded,
    WorkerUnavailable,
)
from app.person import Person
from app.tariffs import Terms
from schemas.call import CallState
from tests.app.conftest import PRICE, Desk
from tests.app.media.rooms_on_worker import rooms_on_worker
from tests.conftest import eventually
from worker_bridge.pool import Slot

ANN, HANA, ROOT = Claims("ann", "user", 0.0), Claims("hana", "otomo", 0.0), Claims("root", "admin", 0.0)
BOB, UME = Claims("bob", "user", 0.0), Claims("ume", "otomo", 0.0)
ATTEMPTS = 3


@dataclass
class Counter:
    """A node's commands on a desk, the worker for its rooms, who is online, and why it takes no call, if so."""

    desk: Desk
    service: CallService
    slot: Slot
    online: set[Person] = field(default_factory=set)
    full: AppError | None = None

    async def ring(self, call_id: str = "u_call", caller: Claims = ANN, otomo: Claims = HANA) -> LiveCall:
        self.online.add(otomo.person)
        return await self.service.request_call(caller, otomo.user_id, call_id)

    async def nothing_is_left(self) -> None:
        assert len(self.desk.registry) == 0
        assert await self.desk.ledger.open_calls() == ()
        assert self.desk.registry.rooms_by_object == {}
        assert (await self.slot.worker.dump())["router_ids"] == []


@pytest.fixture
async def counter(native_worker, desk) -> AsyncIterator[Counter]:
    async with rooms_on_worker(native_worker, desk.registry.rooms_by_object) as (rooms, slot):
        counter = Counter(desk, None, slot)

        class Sockets:
            def online(self, person: Person) -> bool:
                return person in counter.online

        def admit() -> None:
            if counter.full is not None:
                raise counter.full

        presence = Presence(Sockets(), desk.registry, desk.journal)
        counter.service = CallService(
            *(desk.registry, desk.lifecycle, rooms, desk.journal, presence, CallTimers()),
            *(Rates(desk.ledger, Terms.by_unit(PRICE).tariff), Attempts(ATTEMPTS, 0), Directory(Standing()), admit),
        )
        await desk.give("ann", 10 * PRICE)
        yield counter
        await desk.lifecycle.close(5.0)
        presence.close()


async def test_what_is_refused_leaves_nothing_and_is_no_attempt(counter):
    async def refused(error: type[AppError], caller: Claims = ANN, call_id: str = "u_call") -> None:
        with pytest.raises(error):
            await counter.service.request_call(caller, "hana", call_id)

    for _ in range(ATTEMPTS + 1):
        await refused(OtomoOffline)
    counter.online.add(Person("user", "hana"))
    await refused(OtomoNotFound)
    counter.online.add(HANA.person)
    await refused(BadRequest, call_id="call")
    await refused(Forbidden, caller=ROOT)
    await refused(Forbidden, caller=UME)
    await refused(InsufficientPoints, caller=BOB)
    counter.full = Overloaded()
    await refused(Overloaded)
    counter.full = None
    await counter.nothing_is_left()
    assert (await counter.ring()).state is CallState.RINGING


async def test_who_is_in_a_call_asks_for_no_other_and_is_asked_by_nobody(counter):
    call = await counter.ring()
    with pytest.raises(CallerBusy):
        await counter.ring("u_second", otomo=UME)
    await counter.desk.give("bob", PRICE)
    with pytest.raises(OtomoBusy):
        await counter.ring("u_second", caller=BOB)
    await counter.service.cancel(ANN, call.id)
    await counter.ring("u_second", caller=BOB)


async def test_a_request_that_comes_again_while_it_is_being_stored_is_one_call(counter):
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(counter.ring())
        await eventually(lambda: "u_call" not in counter.desk.registry and "nobody rings")
        again = [tasks.create_task(counter.ring()) for _ in range(3)]
    assert [one.result() for one in again] == [first.result()] * 3
    assert counter.desk.audience.types(HANA.person) == ["incoming_call"]


async def test_many_accepts_at_once_open_one_room(counter):
    call = await counter.ring()
    answers = await asyncio.gather(*(counter.service.accept(HANA, call.id) for _ in range(5)))
    assert answers == [call] * 5
    assert (await counter.slot.worker.dump())["router_ids"] == [call.room.router.id]


async def test_an_accept_without_a_worker_lets_it_ring_on(counter):
    call = await counter.ring()
    worker, counter.slot.worker = counter.slot.worker, None
    with pytest.raises(WorkerUnavailable):
        await counter.service.accept(HANA, call.id)
    assert (call.state, call.room) == (CallState.RINGING, None)
    counter.slot.worker = worker
    assert (await counter.service.accept(HANA, call.id)).state is CallState.MATCHED


async def test_a_matched_call_that_can_not_be_opened_leaves_nothing(counter):
    worker, counter.slot.worker = counter.slot.worker, None
    with pytest.raises(WorkerUnavailable):
        await counter.service.open_matched("ann", "hana", "call")
    counter.slot.worker = worker
    with pytest.raises(BadRequest):
        await counter.service.open_matched("ann", "hana", "u_call")
    await counter.nothing_is_left()
    await counter.service.open_matched("ann", "hana", "call")
    await counter.service.end(ANN, "call")
    with pytest.raises(InvalidCallState):  # the ledger knows the id, and its room closes again
        await counter.service.open_matched("ann", "hana", "call")
    await counter.nothing_is_left()


@pytest.mark.parametrize("command", ["accept", "reject", "cancel", "end", "end_by_admin"])
async def test_no_command_finds_a_call_that_never_was(counter, command):
    with pytest.raises(CallNotFound):
        await getattr(counter.service, command)(HANA, "u_none")


async def test_a_cleanup_says_once_what_there_was(counter):
    call = await counter.service.open_matched("ann", "hana", "call")
    await call.room.create_transport("user", "send")
    released = [await counter.service.clean_up(who, "call") for who in (ANN, HANA)]
    assert [one.transports for one in released] == [1, 0]
    await counter.nothing_is_left()
