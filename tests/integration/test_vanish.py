"""A party that is gone: the other side and the node go on, and a cleanup leaves nothing in the worker."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.conftest import eventually, serving
from tests.conversation import OTOMO_HZ, conversation
from tests.integration.conftest import OpenCall, open_call_on, worker_holds_nothing
from tests.party import Party
from voiceplane.client.api import Released
from voiceplane.client.tone import FRAMES_PER_SECOND

STRANGER = Path(__file__).with_name("stranger.py")
REPOSITORY = STRANGER.parents[2]
START_TIMEOUT_S = 20.0  # Python, the media libraries, ICE and DTLS
PATIENCE_S = 5.0
POLL_S = 0.02
UNDER_WAY = 15  # frames; what was in the jitter buffer and on the wire has arrived by then


async def test_a_killed_process_takes_nobody_with_it(call, server):
    async with Party.joined(call.user, call.call_id) as user:
        voice = await user.send(440.0)
        token = server.token(call.otomo_id, "otomo")
        async with stranger(server.base, token, call.call_id, voice.producer_id) as otomo:
            hearing = await user.receive(await line(otomo))
            await hearing.heard(FRAMES_PER_SECOND)
            assert hearing.receiver.dominant_hz() == pytest.approx(OTOMO_HZ, abs=5)
            assert await line(otomo) == "hears"

            otomo.kill()
            await otomo.wait()
            await voice.tone.sent(voice.tone.frames + UNDER_WAY)
            arrived = hearing.receiver.frames
            await voice.tone.sent(voice.tone.frames + FRAMES_PER_SECOND)
            assert hearing.receiver.frames == arrived, "a dead process does not speak"

        await is_intact(call, user)
        assert await call.user.cleanup(call.call_id) == Released(transports=4, producers=2, consumers=2)
    await worker_holds_nothing(server)


async def test_a_party_whose_network_is_gone_takes_nobody_with_it(call, server):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard(FRAMES_PER_SECOND)
        talk.otomo.vanish()
        await talk.user_voice.tone.sent(talk.user_voice.tone.frames + UNDER_WAY)
        arrived = talk.user_hearing.receiver.frames
        await talk.user_voice.tone.sent(talk.user_voice.tone.frames + FRAMES_PER_SECOND)
        assert talk.user_hearing.receiver.frames == arrived

        await is_intact(call, talk.user)
        assert await call.user.cleanup(call.call_id) == Released(transports=4, producers=2, consumers=2)
    await worker_holds_nothing(server)


async def test_a_party_that_stays_away_ends_the_call(settings_with, http):
    """By what the worker counted: nobody said that the party is gone, and the other one goes on sending."""
    async with serving(settings_with(interrupted_after_s=2.0, reconnect_window_s=1.0)) as server:
        call = await open_call_on(server, http)
        async with conversation(call.user, call.otomo, call.call_id) as talk:
            await talk.heard(FRAMES_PER_SECOND)
            talk.otomo.vanish()

            async def goes_on() -> str | None:
                state: str = (await call.admin.request("GET", f"/calls/{call.call_id}"))[
                    "state"
                ]  # as often as it likes
                return state if state != "ended" else None

            await eventually(goes_on)
        ended = await call.user.request("GET", f"/calls/{call.call_id}")
        assert ended["endReason"] == "rtp_stopped"
        await worker_holds_nothing(server)


async def test_a_party_that_leaves_in_order_can_come_back(call, server):
    """New transports take the place of its old ones (RTC-02), and its producer is not in the way."""
    async with Party.joined(call.user, call.call_id) as user:
        voice = await user.send(440.0)
        async with Party.joined(call.otomo, call.call_id) as otomo:
            old = await otomo.send(OTOMO_HZ)
            hearing = await user.receive(old.producer_id)
            await hearing.heard(FRAMES_PER_SECOND)
        async with Party.joined(call.otomo, call.call_id) as otomo:
            new = await otomo.send(OTOMO_HZ)
            assert new.producer_id != old.producer_id
            came_back = await otomo.receive(voice.producer_id)
            await came_back.heard(FRAMES_PER_SECOND)
            assert came_back.receiver.dominant_hz() == pytest.approx(440.0, abs=5)
            # Both parties' two transports, both producers, and the one consumer whose producer is still there.
            assert await call.user.cleanup(call.call_id) == Released(transports=4, producers=2, consumers=1)
    await worker_holds_nothing(server)


@asynccontextmanager
async def stranger(*args: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(STRANGER), *args, stdout=PIPE, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process._transport.close()  # asyncio keeps the pipe open for as long as nobody has read its end


async def line(process: asyncio.subprocess.Process) -> str:
    """The next line that it prints; empty where it ended instead."""
    assert process.stdout is not None
    async with asyncio.timeout(START_TIMEOUT_S):
        return (await process.stdout.readline()).decode().strip()


async def is_intact(call: OpenCall, user: Party) -> None:
    """The party that stayed is connected and sends, and the node knows both producers."""
    assert set(user.states()) == {"ICE completed, DTLS connected"}
    listed = await call.user.request("GET", f"/rtc/rooms/{call.call_id}/producers")
    assert {one["userId"] for one in listed["producers"]} == {call.user_id, call.otomo_id}
