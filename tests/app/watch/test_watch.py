"""The watch: who is silent for too long is noticed within two seconds, and proofs of life reach the ledger."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from app.calls.call import LiveCall
from app.clock import now
from app.tasks import Tasks
from app.watch.liveness import LivenessLimits
from app.watch.watch import Watch, proofs
from schemas.call import CallState
from tests.app.conftest import Desk, ended
from tests.conftest import eventually

NOTICED_WITHIN_S = 2.0


@asynccontextmanager
async def watched(desk: Desk, *, online=lambda _: True):
    watch = Watch(desk.registry, desk.lifecycle, desk.journal, online, LivenessLimits())
    background = Tasks()
    background.start(watch.run(), "watch")
    yield
    await background.close()


async def test_a_silent_party_is_noticed_and_named(desk):
    call = await desk.talking()
    async with watched(desk):
        call.liveness["otomo"].last_proof = now().monotonic - 10.5
        async with asyncio.timeout(NOTICED_WITHIN_S):
            await ended(call)
    assert (await desk.ledger.call(call.id)).end_reason == "rtp_stopped"
    assert (await desk.ledger.timeline(call.id))[-1].cause == f"rtp_stopped at {call.parties.otomo}"


async def test_the_call_beside_it_goes_on(desk):
    silent, speaking = await desk.talking("silent"), await desk.talking("speaking")
    async with watched(desk):
        silent.liveness["user"].last_proof = now().monotonic - 10.5
        await ended(silent)
        assert speaking.state is CallState.TALKING


async def test_a_lost_socket_with_silence_is_a_disconnect(desk):
    call = await desk.talking()
    call.liveness["user"].had_socket = True
    call.liveness["user"].last_proof = now().monotonic - 5.5
    async with watched(desk, online=lambda person: person != call.parties.user):
        await ended(call)
    assert (await desk.ledger.call(call.id)).end_reason == "disconnect"


async def test_a_call_that_does_not_talk_yet_is_not_judged(desk):
    waiting, silent = await desk.talking("waiting"), await desk.talking("silent")
    waiting.state = CallState.CONNECTING
    for call in (waiting, silent):
        call.liveness["user"].last_proof = now().monotonic - 100
    async with watched(desk):
        await ended(silent)
        assert waiting.state is CallState.CONNECTING


async def test_the_last_packet_is_proven_to_the_ledger(desk):
    call = await desk.talking()
    proven_ms = call.connected_at.utc_ms

    async def not_proven():
        stored = await desk.ledger.call(call.id)
        return stored.last_rtp_at_ms == proven_ms and "the ledger knows the first packet only"

    call.liveness["user"].last_proof = now().monotonic + 1
    async with watched(desk):
        await eventually(not_proven)


def test_a_proof_is_the_wall_time_of_the_later_partys_last_packet():
    call, silent = (LiveCall(name, "user", "otomo", 100, now()) for name in ("call", "silent"))
    present = now()
    call.liveness["user"].last_proof, call.liveness["otomo"].last_proof = present.monotonic - 7, present.monotonic - 2
    [(call_id, at_ms)] = proofs([call, silent]).items()
    assert call_id == "call"
    assert abs(at_ms - (present.utc_ms - 2000)) <= 20
