"""The worker dies in the middle of a call: the call is over at once, the node is not."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from tests.conftest import eventually
from tests.conversation import OTOMO_HZ, USER_HZ, conversation
from voiceplane.client.errors import Refused
from voiceplane.client.tone import FRAMES_PER_SECOND

AT_ONCE_S = 1.0
BACK_WITHIN_S = 5.0
GONE = {(404, "ROOM_NOT_FOUND"), (404, "PRODUCER_NOT_FOUND"), (503, "WORKER_UNAVAILABLE")}


async def test_a_call_ends_with_its_worker_and_the_next_one_has_sound(call, open_call, server):
    [slot] = server.pool.slots
    first_pid = slot.worker.pid
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard(FRAMES_PER_SECOND)
        os.kill(first_pid, signal.SIGKILL)

        # The first is asked while the death may not have been noticed, the last when it surely has been.
        producer_id = talk.user_voice.producer_id
        for ask in (
            lambda: call.user.pause_producer(producer_id),
            lambda: call.otomo.create_transport(call.call_id, "recv"),
            lambda: call.user.request("GET", f"/rtc/rooms/{call.call_id}/producers"),
        ):
            async with asyncio.timeout(AT_ONCE_S):
                with pytest.raises(Refused) as refusal:
                    await ask()
            assert (refusal.value.status, refusal.value.code) in GONE

    ended = await call.user.request("GET", f"/calls/{call.call_id}")
    assert (ended["state"], ended["endReason"]) == ("ended", "worker_died")
    assert (ended["endedBy"], ended["worker"]) == ("node", 0)
    await eventually(lambda: slot.worker is None or slot.worker.pid == first_pid, within_s=BACK_WITHIN_S)
    next_call = await open_call()
    async with conversation(next_call.user, next_call.otomo, next_call.call_id) as talk:
        await talk.heard(FRAMES_PER_SECOND)
        assert talk.otomo_hearing.receiver.dominant_hz() == pytest.approx(USER_HZ, abs=5)
        assert talk.user_hearing.receiver.dominant_hz() == pytest.approx(OTOMO_HZ, abs=5)
    assert slot.restarts == 1
    assert len((await server.worker_dump())["router_ids"]) == 1, "only the second call has a room"
