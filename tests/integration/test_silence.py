"""Calls in which nobody speaks, with real sound: who is told, whose call ends, and who is left alone."""

from __future__ import annotations

from datetime import datetime

from tests.conftest import serving
from tests.integration.paid_calls import scene
from tests.party import Party

SILENCE_HZ, TONE_HZ = 0.0, 440.0
SILENT = {"silence_warning_s": 2.0, "silence_end_s": 5.0}
KEPT_UP_S = 16.0  # twice the time after which levels are known and a silent call ends


async def test_a_call_in_which_nobody_speaks_is_told_and_ended(short):
    async with (
        serving(short(**SILENT)) as server,
        scene(server) as made,
        Party.joined(made.user.api, "call") as user,
        Party.joined(made.otomo.api, "call") as otomo,
    ):
        heard = await otomo.send(SILENCE_HZ)
        await user.send(SILENCE_HZ)
        await user.receive(heard.producer_id)
        told = await made.user.socket.until("call_silent", "call")
        assert await made.otomo.socket.until("call_silent", "call") == told
        assert 2 <= told["silentSeconds"] <= 4
        end = await made.ends("silence")
        late_s = datetime.fromisoformat(end["endedAt"]) - datetime.fromisoformat(told["endsAt"])
        assert -0.1 <= late_s.total_seconds() <= 3


async def test_one_who_speaks_is_enough_and_a_muted_one_does_not(short):
    async with (
        serving(short(**SILENT)) as server,
        scene(server, call_id="call") as made,
        Party.joined(made.user.api, "call") as user,
        Party.joined(made.otomo.api, "call") as otomo,
    ):
        tone = await otomo.send(TONE_HZ)
        await user.send(SILENCE_HZ)
        hearing = await user.receive(tone.producer_id)
        await hearing.heard(round(50 * KEPT_UP_S), within_s=4 * KEPT_UP_S)
        assert made.state == "talking"
        assert made.user.socket.payloads("call_silent") == []
        await made.otomo.api.pause_producer(tone.producer_id)
        await made.user.socket.until("call_silent", "call")
        await made.otomo.api.request("POST", f"/rtc/producers/{tone.producer_id}/resume")
        frames = hearing.receiver.frames
        await hearing.heard(frames + 100)
        assert made.state == "talking"
