"""Calls that are recorded, with real media: what is in the files, whatever happened in the call; and who is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import count

import pytest

from tests.conftest import Server, serving
from tests.conversation import OTOMO_HZ, USER_HZ, conversation
from tests.integration.lossy import lose_sent, reorder_sent
from tests.integration.paid_calls import INTERRUPTED_AFTER_S, Scene, scene, talking
from tests.integration.recorded import RATE, fetched, legs_of_ended, recordings_of, stored
from tests.integration.test_worker_killed import strike
from tests.party import Party
from voiceplane.client.api import Api
from voiceplane.client.errors import Refused

REASON = {"reason": "a complaint"}
SLOW = 0.0008  # of a sender's clock: a recording follows 1 ms a second
PATH = "/admin/calls/call/recording"


@pytest.fixture
async def server(short) -> AsyncIterator[Server]:
    async with serving(short(recording=True, reconnect_window_s=30.0)) as running:
        yield running


async def record(made: Scene) -> str:
    """Returns when it goes on."""
    state = (await made.admin.request("POST", PATH, REASON))["state"]
    await made.user.socket.until("recording_started", "call")
    await made.otomo.socket.until("recording_started", "call")
    return state


async def end(made: Scene) -> None:
    await made.user.api.request("POST", "/calls/call/end")
    await made.ends("manual")


async def test_both_legs_are_as_long_as_the_call_and_hold_what_each_has_sent(server, tmp_path):
    async with talking(server) as (made, talk):
        assert await record(made) == "recording"
        frames = talk.user_hearing.receiver.frames
        await talk.heard(frames + 150)
        await end(made)
        legs = await legs_of_ended(server, made.admin, tmp_path)
        assert legs["user"].pitch() == pytest.approx(USER_HZ, abs=3)
        assert legs["otomo"].pitch() == pytest.approx(OTOMO_HZ, abs=3)
        assert min(one.heard_s() for one in legs.values()) > 2.0
        story = made.user.socket.story("call")
        assert story.count("recording_started") == 1


async def test_with_record_it_begins_with_the_first_packet(server, tmp_path):
    async with scene(server) as made:
        opening = {"callId": "recorded", "userId": "ann", "otomoId": "hana", "pricePerMinute": 0, "record": True}
        await made.admin.request("POST", "/admin/calls", opening)
        user, otomo = (Api(made.http, server.base, server.token(*who)) for who in (("ann", "user"), ("hana", "otomo")))
        async with conversation(user, otomo, "recorded") as talk:
            await talk.heard(100)
            await user.request("POST", "/calls/recorded/end")
        legs = await legs_of_ended(server, made.admin, tmp_path, "recorded")
        assert any(leg.silent_s(0.0, 0.3) <= 0.2 for leg in legs.values()), "the first one is heard from the beginning"


async def test_a_pause_is_silence_and_the_rest_lies_where_it_was(server, tmp_path):
    async with talking(server) as (made, talk):
        await record(made)
        await talk.heard(talk.user_hearing.receiver.frames + 75)
        for _ in range(2):
            assert (await made.admin.request("POST", f"{PATH}/pause"))["state"] == "paused"
        await made.otomo.socket.until("recording_paused", "call")
        await talk.heard(talk.user_hearing.receiver.frames + 150)
        assert (await made.admin.request("GET", PATH))["state"] == "paused"
        for _ in range(2):
            assert (await made.admin.request("POST", f"{PATH}/resume"))["state"] == "recording"
        await made.otomo.socket.until("recording_started", "call", count=2)
        await talk.heard(talk.user_hearing.receiver.frames + 75)
        await end(made)
        for leg in (await legs_of_ended(server, made.admin, tmp_path)).values():
            loud = leg.loud()
            first = loud.index(True)
            gap = loud.index(False, first)
            again = loud.index(True, gap + 10)
            assert again - gap > 20, "two seconds and more of silence"
            assert loud[again:].count(True) >= 10


async def test_lost_packets_leave_it_as_long_as_the_call(server, tmp_path):
    async with talking(server) as (made, talk):
        await record(made)
        lose_sent(talk.user, 10)
        await talk.heard(talk.user_hearing.receiver.frames + 250)
        await end(made)
        legs = await legs_of_ended(server, made.admin, tmp_path)
        assert legs["user"].heard_s() == pytest.approx(legs["otomo"].heard_s(), abs=1.0), "a tenth is concealed"


async def test_numbers_that_wrap_a_clock_that_is_slow_and_packets_out_of_order_leave_no_hole(
    server, tmp_path, monkeypatch
):
    origins = count(2**32 - 2 * RATE)  # of timestamps, which wrap after 2 s; and as SSRCs
    monkeypatch.setattr("aiortc.rtcrtpsender.random32", lambda: next(origins))
    monkeypatch.setattr("aiortc.rtcrtpsender.random_sequence_number", lambda: 2**16 - 80)
    monkeypatch.setattr("voiceplane.client.tone.FRAMES_PER_SECOND", 50 * (1 - SLOW))
    async with talking(server) as (made, talk):
        await record(made)
        reorder_sent(talk.user, 10)
        await talk.heard(talk.user_hearing.receiver.frames + 400)
        await end(made)
        for leg in (await legs_of_ended(server, made.admin, tmp_path)).values():
            loud = leg.loud()
            begin, last = loud.index(True), len(loud) - loud[::-1].index(True)
            assert last - begin >= 70
            assert loud[begin:last].count(False) <= 1


async def test_who_is_muted_is_silent_meanwhile(server, tmp_path):
    async with talking(server) as (made, talk):
        await record(made)
        producer = f"/rtc/producers/{talk.user_voice.producer_id}"
        await talk.heard(talk.user_hearing.receiver.frames + 50)
        await made.user.api.request("POST", f"{producer}/pause")
        await talk.user_hearing.heard(talk.user_hearing.receiver.frames + 150)
        await made.user.api.request("POST", f"{producer}/resume")
        await talk.user_hearing.heard(talk.user_hearing.receiver.frames + 50)
        await end(made)
        legs = await legs_of_ended(server, made.admin, tmp_path)
        assert legs["otomo"].heard_s() - legs["user"].heard_s() > 2.0


async def test_an_interruption_is_silence(server, tmp_path):
    async with talking(server) as (made, talk):
        await record(made)
        await talk.heard(talk.user_hearing.receiver.frames + 50)
        talk.otomo.vanish()
        await made.user.socket.until("call_interrupted", "call")
        async with Party.joined(made.otomo.api, "call") as again:
            voice = await again.send(OTOMO_HZ)
            await made.user.socket.until("call_resumed", "call")
            await voice.tone.sent(100)
            await end(made)
        legs = await legs_of_ended(server, made.admin, tmp_path)
        loud = legs["otomo"].loud()
        silent = [step for step in range(loud.index(True), len(loud)) if not loud[step]]
        assert len(silent) * 0.1 > INTERRUPTED_AFTER_S - 0.5
        assert any(loud[silent[-1] :]), "and then they are heard again"


async def test_a_room_that_is_lost_costs_the_sound_of_that_time_and_nothing_else(server, tmp_path):
    async with talking(server) as (made, talk):
        await record(made)
        await talk.heard(talk.user_hearing.receiver.frames + 50)
        before = await recordings_of(made.admin)
        strike(server, made)
        await made.user.socket.until("media_moved", "call")
        async with conversation(made.user.api, made.otomo.api, "call") as again:
            await made.user.socket.until("call_resumed", "call")
            await again.heard(100)
            await end(made)
        legs = await legs_of_ended(server, made.admin, tmp_path)
        assert {one["recordingId"] for one in before} == {one["recordingId"] for one in await stored(made.admin)}
        for leg in legs.values():
            loud = leg.loud()
            assert loud[-10:].count(True) >= 5


async def test_what_is_stopped_ends_there_and_what_begins_again_is_another_part(server, tmp_path):
    async with talking(server) as (made, talk):
        await record(made)
        await talk.heard(talk.user_hearing.receiver.frames + 50)
        for _ in range(2):
            assert (await made.admin.request("DELETE", PATH))["state"] == "stopped"
        await made.user.socket.until("recording_stopped", "call")
        first = await stored(made.admin)
        call = await made.admin.request("GET", "/calls/call")
        await made.admin.request("POST", PATH, REASON)
        await talk.heard(talk.user_hearing.receiver.frames + 75)
        await end(made)
        parts = await stored(made.admin, parts=2)
        assert [(one["role"], one["part"]) for one in parts] == [("user", 1), ("user", 2), ("otomo", 1), ("otomo", 2)]
        assert call["endedAt"] is None
        for one in first:
            await fetched(server, one, tmp_path)
        assert parts[0]["durationMs"] < parts[1]["durationMs"]


async def test_a_call_that_never_connected_leaves_no_file(server):
    async with scene(server) as made:
        assert (await made.admin.request("POST", PATH, REASON))["state"] == "recording"
        await made.admin.request("POST", "/admin/calls/call/end")
        answer = await made.admin.request("GET", PATH)
        assert (answer["state"], answer["recordings"], answer["reason"]) == ("stopped", [], REASON["reason"])
        assert list((server.settings.data_dir / "recording-spool").iterdir()) == []


async def test_a_back_end_is_told_and_the_audit_log_says_who(server, tmp_path):
    async with talking(server) as (made, talk):
        await record(made)
        await talk.heard(talk.user_hearing.receiver.frames + 50)
        await end(made)
        files = await stored(made.admin)
        await fetched(server, files[0], tmp_path)
        assert (await made.admin.request("DELETE", f"/admin/recordings/{files[0]['recordingId']}")) == {"deleted": True}
        assert [one["role"] for one in await recordings_of(made.admin)] == ["otomo"]
        lines = (await made.admin.request("GET", "/admin/audit?callId=call"))["entries"]
        told = [(one["action"], one["subject"], one["reason"]) for one in reversed(lines)]
        mine = files[0]["recordingId"]
        assert told == [
            ("recording.start", None, "a complaint"),
            ("recording.play", mine, None),
            ("recording.delete", mine, None),
        ]
        assert {one["adminId"] for one in lines} == {"root"}
        with pytest.raises(Refused) as refused:
            await made.admin.request("GET", f"/admin/recordings/{mine}")
        assert refused.value.code == "RECORDING_NOT_FOUND"


async def test_off_it_is_refused_and_nothing_is_kept(short):
    async with serving(short()) as server, talking(server) as (made, _):
        with pytest.raises(Refused) as refused:
            await made.admin.request("POST", PATH, REASON)
        assert refused.value.code == "NOT_ENABLED"
        opening = {"callId": "recorded", "userId": "ann", "otomoId": "hana", "record": True}
        with pytest.raises(Refused) as refused:
            await made.admin.request("POST", "/admin/calls", opening)
        assert refused.value.code == "NOT_ENABLED"
        assert "recorded" not in server.registry
        answer = await made.admin.request("GET", PATH)
        assert (answer["enabled"], answer["state"]) == (False, None)


async def test_one_more_than_may_be_is_refused(short):
    async with serving(short(recording=True, recording_max_calls=1)) as server, scene(server) as made:
        await made.admin.request("POST", PATH, REASON)
        await made.admin.request("POST", PATH, REASON)
        opening = {"callId": "recorded", "userId": "ann", "otomoId": "hana", "record": True}
        with pytest.raises(Refused) as refused:
            await made.admin.request("POST", "/admin/calls", opening)
        assert (refused.value.code, refused.value.status) == ("RECORDING_LIMIT_EXCEEDED", 503)
        assert await server.ledger.recordings.asked("recorded") is None
        await made.admin.request("POST", "/admin/calls/call/end")
        await made.admin.request("POST", "/admin/calls", opening)


async def test_a_call_that_is_over_at_once_leaves_files_all_the_same(server, tmp_path):
    async with scene(server) as made:
        await made.admin.request("POST", PATH, REASON)
        async with conversation(made.user.api, made.otomo.api, "call"):
            await made.connected()
            await made.admin.request("POST", "/admin/calls/call/end")
        await legs_of_ended(server, made.admin, tmp_path)
