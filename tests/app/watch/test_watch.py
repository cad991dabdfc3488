"""The watch: who is silent is noticed within two seconds, who is back resumes the call, and proofs reach the ledger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from app.calls.call import Interruption, LiveCall
from app.calls.timers import CallTimers
from app.clock import now, shifted
from app.person import Person
from app.tariffs import Terms
from app.tasks import Tasks
from app.watch.sweeper import Sweeper
from app.watch.watch import Watch, proofs
from schemas.call import CallState
from tests.app.calls.moving_calls import interrupted, talks
from tests.app.conftest import Desk, ended, prove_alive
from tests.conftest import eventually

NOTICED_WITHIN_S = 2.0
PROVEN_WITHIN_S = 4.0  # every two seconds, after a sweep
WINDOW_S = 0.3  # instead of the contract's twenty
QUICK = CallTimers(reconnect_window_s=WINDOW_S)


@asynccontextmanager
async def watched(
    desk: Desk,
    *,
    online: Callable[[Person], bool] = lambda _: True,
    timers: CallTimers | None = None,
    sweeper: Sweeper | None = None,
) -> AsyncIterator[Watch]:
    """While the block runs; ``timers`` are the desk's."""
    node = desk.registry, desk.lifecycle, desk.continuity, desk.journal

    async def is_online(person: Person) -> bool:
        return online(person)

    watch = Watch(sweeper or Sweeper(), *node, is_online, timers or CallTimers())
    background = Tasks()
    background.start(watch.run(), "watch")
    yield watch
    await background.close()


@pytest.fixture
async def quick_desk(desk_with) -> AsyncIterator[Desk]:
    """A desk on which an interrupted call does not wait long."""
    async with desk_with(timers=QUICK) as made:
        yield made


def silent(call: LiveCall, party: str = "otomo", for_s: float = 6.0) -> None:
    """The other one is heard on and on."""
    for role, one in call.liveness.items():
        one.last_proof = now().monotonic + (60.0 if role != party else -for_s)


async def test_a_silent_party_interrupts_its_call_and_is_named(desk):
    call = await desk.talking()
    async with watched(desk):
        silent(call)
        async with asyncio.timeout(NOTICED_WITHIN_S):
            await interrupted(call)
    assert call.interruption.party == "otomo"
    assert [one.role for one in await desk.ledger.interruptions(call.id)] == ["otomo"]


async def test_the_call_beside_it_talks_on(desk):
    quiet, speaking = await desk.talking("quiet"), await desk.talking("speaking")
    async with watched(desk):
        silent(quiet, "user")
        prove_alive(speaking, now().monotonic + 60.0)
        await interrupted(quiet)
        assert speaking.state is CallState.TALKING


async def test_five_seconds_of_silence_are_none(desk):
    call, gone = await desk.talking("call"), await desk.talking("gone")
    async with watched(desk):
        silent(call, for_s=1.0)
        silent(gone)
        await interrupted(gone)
        assert call.state is CallState.TALKING


async def test_who_does_not_come_back_in_the_window_ends_the_call_at_the_last_proof_of_both(quick_desk):
    call = await quick_desk.talking(ago_s=50.0, price=0)
    silent(call)
    last = shifted(now(), call.liveness["otomo"].last_proof)
    async with watched(quick_desk, timers=QUICK):
        await ended(call)
    stored = await quick_desk.ledger.call(call.id)
    assert (stored.end_reason, stored.ended_at_ms) == ("rtp_stopped", pytest.approx(last.utc_ms, abs=20))
    assert stored.duration_seconds == int(last.monotonic - call.connected_at.monotonic)
    assert (await quick_desk.ledger.timeline(call.id))[-1].cause == f"rtp_stopped at {call.parties.otomo}"
    [one] = await quick_desk.ledger.interruptions(call.id)
    assert one.until_ms == stored.ended_at_ms


async def test_it_does_not_end_before_the_window_is_over(quick_desk):
    call = await quick_desk.talking(ago_s=50.0, price=0)
    silent(call)
    async with watched(quick_desk, timers=QUICK):
        await interrupted(call)
        until = call.interruption.until.monotonic
        await ended(call)
        assert now().monotonic >= until


async def test_a_lost_socket_with_silence_is_a_disconnect(quick_desk):
    call = await quick_desk.talking(price=0)
    call.liveness["user"].had_socket = True
    silent(call, "user")
    async with watched(quick_desk, online=lambda person: person != call.parties.user, timers=QUICK):
        await ended(call)
    assert (await quick_desk.ledger.call(call.id)).end_reason == "disconnect"


async def test_who_is_back_in_the_window_goes_on(desk):
    call = await desk.talking(ago_s=30.0)
    silent(call)
    async with watched(desk):
        await interrupted(call)
        call.room = object()  # which is all that going on asks for; nothing is counted in it
        desk.registry.remove(call)  # so that the sweeps leave it alone
        prove_alive(call)
        assert desk.continuity.proven(call)
        await talks(call)
        call.room = None
        desk.registry.add(call)
        prove_alive(call, now().monotonic + 60.0)


async def test_a_call_that_does_not_talk_yet_is_not_judged(quick_desk):
    waiting, quiet = await quick_desk.talking("waiting"), await quick_desk.talking("quiet", price=0)
    waiting.state = CallState.CONNECTING
    for call in (waiting, quiet):
        silent(call, "user", for_s=100.0)
    async with watched(quick_desk, timers=QUICK):
        await ended(quiet)
        assert waiting.state is CallState.CONNECTING


class PacketsSaid(Sweeper):
    """Each sweep finds that packets of everybody came since the one before it."""

    async def sweep(self, calls: Iterable[LiveCall]) -> None:
        calls = list(calls)
        await super().sweep(calls)
        await asyncio.sleep(0)  # as for the workers' answers
        for call in calls:
            prove_alive(call)


async def test_time_in_which_the_node_stood_still_is_not_talked(desk):
    """What came before it is counted after it, which proves that it came, but not when."""
    call = await desk.talking(ago_s=30.0)
    async with watched(desk, sweeper=PacketsSaid()) as watch:
        swept = asyncio.Event()
        watch.on_sweep(lambda _: swept.set())
        await swept.wait()
        last = call.liveness["user"].last_proof
        time.sleep(6.0)  # noqa: ASYNC251  the loop stands still, which is what is tested
        stood_until = now().monotonic
        await interrupted(call)
        assert call.interruption.since.monotonic == last
        assert call.clock.talked_at(stood_until) == pytest.approx(last - call.connected_at.monotonic)


async def test_a_moment_in_which_the_node_stood_still_interrupts_nobody(desk):
    call = await desk.talking(ago_s=30.0)
    async with watched(desk, sweeper=PacketsSaid()) as watch:
        sweeps: list[float] = []
        watch.on_sweep(sweeps.append)
        await eventually(lambda: not sweeps and "no sweep")
        time.sleep(2.5)  # noqa: ASYNC251  the loop stands still again
        seen = len(sweeps)
        await eventually(lambda: len(sweeps) < seen + 2 and "no two sweeps since")
        assert call.state is CallState.TALKING


async def test_what_was_talked_is_proven_to_the_ledger_up_to_the_earlier_partys_last_packet(desk):
    call = await desk.talking(ago_s=30.0)
    call.liveness["user"].last_proof = now().monotonic + 3.0
    until = call.liveness["otomo"].last_proof = now().monotonic + 2.0
    talked_ms = round(1000 * (until - call.connected_at.monotonic))

    async def not_proven():
        stored = await desk.ledger.call(call.id)
        return stored.talked_ms != talked_ms and f"it has {stored.talked_ms} ms"

    async with watched(desk), asyncio.timeout(PROVEN_WITHIN_S):
        await eventually(not_proven)
    stored = await desk.ledger.call(call.id)
    assert stored.proven_at_ms - stored.connected_at_ms == pytest.approx(talked_ms, abs=20)


async def test_proofs_go_on_while_calls_go_on(desk):
    call = await desk.talking(ago_s=30.0)
    found: list[int] = []
    async with watched(desk) as watch:
        watch.on_sweep(lambda _: prove_alive(call))

        async def fewer_than_three():
            stored = await desk.ledger.call(call.id)
            if stored.talked_ms not in found:
                found.append(stored.talked_ms)
            return len(found) < 4 and f"there were {found}"

        await eventually(fewer_than_three)
    assert found == sorted(found)


def talking_call() -> LiveCall:
    call = LiveCall("call", "user", "otomo", Terms.by_unit(100), now(), state=CallState.TALKING)
    call.connected_at = shifted(now(), now().monotonic - 30.0)
    call.clock.start(call.connected_at)
    return call


def test_a_proof_is_of_the_room_and_of_both():
    call, present = talking_call(), now()
    call.epoch = 3
    call.liveness["user"].last_proof, call.liveness["otomo"].last_proof = present.monotonic - 7, present.monotonic - 2
    [((call_id, epoch), talked)] = proofs([call]).items()
    assert (call_id, epoch) == ("call", 3)
    assert talked.talked_ms == pytest.approx(23_000, abs=20)
    assert talked.proven_at_ms == pytest.approx(present.utc_ms - 7000, abs=20)


def test_who_never_sent_proves_nothing_but_the_connection():
    call = talking_call()
    call.liveness["user"].last_proof = now().monotonic
    [talked] = proofs([call]).values()
    assert (talked.talked_ms, talked.proven_at_ms) == (0, pytest.approx(call.connected_at.utc_ms, abs=20))


def test_a_call_whose_clock_stands_is_not_proven():
    call = talking_call()
    prove_alive(call)
    since = now()
    call.clock.stop(since.monotonic)
    call.interruption = Interruption("no_rtp", "user", since, since, since)
    assert proofs([call]) == {}
