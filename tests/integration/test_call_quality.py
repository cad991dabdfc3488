"""How a call went, told live to admins and kept in its record: real media over good and bad networks."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.conftest import eventually
from tests.conversation import OTOMO_HZ, USER_HZ, conversation
from tests.integration.lossy import lose_received, lose_sent
from tests.party import Party
from voiceplane.client.api import Api
from voiceplane.client.errors import Refused
from voiceplane.client.tone import FRAMES_PER_SECOND

SILENCE_HZ = 0.0
LATE_S = 25.0
KEPT_WITHIN_S = 2.0


async def inspected(call):
    return await call.admin.request("GET", f"/admin/calls/{call.call_id}")


async def flagged(call) -> set[tuple[str, str]]:
    """What stands, by the list."""
    calls = (await call.admin.request("GET", "/admin/calls"))["calls"]
    return {(flag["type"], flag["userId"]) for one in calls if one["callId"] == call.call_id for flag in one["flags"]}


async def record_of(call, by="user"):
    """The stored call, as a party reads it right after its end."""
    ended_at = time.monotonic()
    api = getattr(call, by)
    await api.cleanup(call.call_id)
    found = await call.otomo.request("GET", f"/calls/{call.call_id}")
    assert time.monotonic() - ended_at < KEPT_WITHIN_S
    assert found["state"] == "ended"
    return found


def direction(quality, speaker):
    return next((one for one in quality if one["from"] == speaker), None)


@pytest.mark.parametrize("lossy_way", ["to the server", "from the server"])
async def test_a_bad_network_is_seen_in_the_direction_that_it_harms(call, lossy_way):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard()
        if lossy_way == "to the server":
            lose_sent(talk.user, every=10)
        else:
            lose_received(talk.otomo, every=10)

        async def not_yet():
            quality = (await inspected(call))["quality"]
            found = direction(quality, call.user_id)
            return (found is None or found["lossPercent"] < 4 or found["roundTripMs"] is None) and f"{quality} yet"

        await eventually(not_yet, LATE_S)
        live = await inspected(call)
        stored = await record_of(call)
    for quality in (live["quality"], stored["quality"]):
        harmed, other = direction(quality, call.user_id), direction(quality, call.otomo_id)
        assert harmed["to"] == call.otomo_id
        assert 2 < harmed["lossPercent"] < 25
        assert harmed["mos"] < other["mos"] - 0.3
        assert other["lossPercent"] < 2
        assert other["mos"] > 4
        assert 0 < other["roundTripMs"] < 500
        assert other["jitterMs"] < 50
    assert live["mos"] == direction(live["quality"], call.user_id)["mos"]
    assert stored["mos"] == direction(stored["quality"], call.user_id)["mos"]


async def test_everything_of_a_live_call_can_be_looked_at(call):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard(FRAMES_PER_SECOND)
        await eventually(lambda: levels_missing(call), LATE_S)
        live = await inspected(call)
        voices = {call.user_id: talk.user_voice.producer_id, call.otomo_id: talk.otomo_voice.producer_id}
        hearings = {call.user_id: talk.user_hearing.consumer_id, call.otomo_id: talk.otomo_hearing.consumer_id}
        stored = await record_of(call, by="otomo")
        ended = await inspected(call)
    assert live["state"] == "talking"
    assert live["timeline"][-1]["type"] == "talking"
    assert live["live"]["worker"] == 0
    for party, role in zip(live["live"]["parties"], ("user", "otomo"), strict=True):
        assert party["role"] == role
        assert party["sockets"] == 0
        assert party["lastRtpAt"] is not None
        assert sorted(one["direction"] for one in party["transports"]) == ["recv", "send"]
        for one in party["transports"]:
            assert (one["iceState"], one["dtlsState"]) == ("completed", "connected")
            assert one["selectedTuple"]["protocol"] == "udp"
            assert one["selectedTuple"]["localAddress"] == "127.0.0.1"
            assert one["selectedTuple"]["remotePort"] > 0
            assert one["bytesReceived"] > 0
            assert one["bytesSent"] > 0
        [producer], [consumer] = party["producers"], party["consumers"]
        assert (producer["producerId"], producer["kind"], producer["paused"]) == (
            voices[party["userId"]], "audio", False,
        )  # fmt: skip
        assert producer["packets"] >= FRAMES_PER_SECOND
        assert producer["bytes"] > producer["packets"]
        assert producer["bitrate"] > 0
        assert producer["score"] == 10
        assert producer["lastRtpAt"] is not None
        assert -30 < producer["level"] < 0  # a tone at 0.3 of full scale
        assert (consumer["consumerId"], consumer["paused"]) == (hearings[party["userId"]], False)
        assert consumer["packets"] > 0
    assert ended["live"] is None
    assert stored.pop("media") is None, "which only parties have, and only while it lives"
    assert {name: ended[name] for name in stored} == stored, "what admins see of it is what was kept"
    assert stored["endedBy"] == "otomo"
    assert stored["endReason"] == "manual"
    assert stored["worker"] == 0
    assert stored["billedSeconds"] == 0
    assert stored["flags"] == []
    assert {one["userId"]: one["protocol"] for one in stored["transports"]} == {
        call.user_id: "udp", call.otomo_id: "udp",
    }  # fmt: skip


async def levels_missing(call):
    parties = (await inspected(call))["live"]["parties"]
    return [one["userId"] for one in parties if one["producers"][0]["level"] is None]


async def test_a_dead_microphone_is_flagged_until_its_party_mutes_itself(call):
    async with Party.joined(call.user, call.call_id) as user, Party.joined(call.otomo, call.call_id) as otomo:
        silence = await user.send(SILENCE_HZ)
        tone = await otomo.send(OTOMO_HZ)
        await user.receive(tone.producer_id)
        await otomo.receive(silence.producer_id)
        dead = {("dead_microphone", call.user_id)}
        await eventually(lambda: missing(call, dead), LATE_S)
        await call.user.pause_producer(silence.producer_id)
        await eventually(lambda: flagged(call), LATE_S)
        stored = await record_of(call)
    [flag] = stored["flags"]
    assert (flag["type"], flag["userId"]) == ("dead_microphone", call.user_id)
    assert stored["connectedAt"] < flag["until"] < stored["endedAt"]


async def missing(call, wanted):
    found = await flagged(call)
    return found != wanted and f"{found} stand"


async def test_a_party_whom_the_other_can_not_hear_is_flagged_until_it_can(call):
    async with Party.joined(call.user, call.call_id) as user, Party.joined(call.otomo, call.call_id) as otomo:
        voice, other_voice = await user.send(USER_HZ), await otomo.send(OTOMO_HZ)
        await user.receive(other_voice.producer_id)
        unheard = {("one_way_audio", call.user_id), ("not_listening", call.otomo_id)}
        await eventually(lambda: missing(call, unheard), LATE_S)
        await otomo.receive(voice.producer_id)
        await eventually(lambda: flagged(call), LATE_S)
        stored = await record_of(call)
    assert {(flag["type"], flag["userId"]) for flag in stored["flags"]} == unheard
    assert None not in {flag["until"] for flag in stored["flags"]}


async def test_a_call_in_which_nobody_listens_is_flagged_and_has_no_mos(call):
    async with Party.joined(call.user, call.call_id) as user, Party.joined(call.otomo, call.call_id) as otomo:
        await user.send(USER_HZ)
        await otomo.send(OTOMO_HZ)
        parties = (call.user_id, call.otomo_id)
        unheard = {(flag, party) for flag in ("one_way_audio", "not_listening") for party in parties}
        await eventually(lambda: missing(call, unheard), LATE_S)
        live = await inspected(call)
        stored = await record_of(call)
    for seen in (live, stored):
        assert seen["mos"] is None
        assert [(one["from"], one["mos"], one["lossPercent"]) for one in seen["quality"]] == [
            (party, None, None) for party in parties
        ]


async def test_only_the_direction_that_was_heard_is_rated(call):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await call.otomo.request("POST", f"/rtc/consumers/{talk.otomo_hearing.consumer_id}/pause")
        await eventually(
            lambda: missing(call, {("one_way_audio", call.user_id), ("not_listening", call.otomo_id)}), LATE_S
        )
        await eventually(lambda: rated(call, call.otomo_id), LATE_S)
        live = await inspected(call)
    assert direction(live["quality"], call.user_id)["mos"] is None
    assert direction(live["quality"], call.otomo_id)["mos"] == live["mos"] > 4


async def rated(call, speaker):
    found = direction((await inspected(call))["quality"], speaker)
    return (found is None or found["mos"] is None) and "it is not rated yet"


async def test_who_mutes_itself_is_neither_dead_nor_unheard(call):
    async with conversation(call.user, call.otomo, call.call_id) as talk:
        await talk.heard()
        await call.user.pause_producer(talk.user_voice.producer_id)
        await talk.otomo_hearing.receiver.count(1, within_s=0.1)
        await talk.user_hearing.heard(talk.user_hearing.receiver.frames + 8 * FRAMES_PER_SECOND)
        assert await flagged(call) == set()
        assert (await record_of(call))["flags"] == []


async def test_live_calls_are_listed_newest_first_and_by_state(server, open_call):
    first, second, third = [await open_call() for _ in range(3)]
    api = first.admin
    ids = [third.call_id, second.call_id, first.call_id]
    await second.user.create_transport(second.call_id, "send")
    listed = (await api.request("GET", "/admin/calls"))["calls"]
    assert [one["callId"] for one in listed] == ids
    assert {one["worker"] for one in listed} == {0}
    assert {one["talkSeconds"] for one in listed} == {0}
    await eventually(lambda: listed_as(api, "connecting", [second.call_id]))
    await eventually(lambda: listed_as(api, "matched", [third.call_id, first.call_id]))
    page = await api.request("GET", "/admin/calls?limit=2")
    rest = await api.request("GET", f"/admin/calls?limit=2&cursor={page['nextCursor']}")
    assert [one["callId"] for one in (*page["calls"], *rest["calls"])] == ids
    for one in (first, second, third):
        await one.user.cleanup(one.call_id)
    assert (await api.request("GET", "/admin/calls"))["calls"] == []


async def listed_as(api, state, expected):
    found = [one["callId"] for one in (await api.request("GET", f"/admin/calls?state={state}"))["calls"]]
    return found != expected and f"{found} are {state}"


async def test_what_admins_can_not_ask_for(call):
    for path, code in (
        ("/admin/calls?state=Talking", "BAD_REQUEST"),
        ("/admin/calls/nothing-like-it", "CALL_NOT_FOUND"),
    ):
        with pytest.raises(Refused) as refused:
            await call.admin.request("GET", path)
        assert refused.value.code == code
    for path in ("/admin/calls", f"/admin/calls/{call.call_id}"):
        with pytest.raises(Refused) as refused:
            await call.user.request("GET", path)
        assert refused.value.code == "FORBIDDEN"


async def test_a_worker_that_says_nothing_does_not_hide_the_call(server, call):
    worker = server.pool.slots[0].worker
    transport = await call.user.create_transport(call.call_id, "send")
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        live = (await inspected(call))["live"]
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    [seen] = live["parties"][0]["transports"]
    assert (seen["transportId"], seen["iceState"], seen["bytesReceived"]) == (transport.transport_id, "new", None)
    assert (await inspected(call))["live"]["parties"][0]["transports"][0]["bytesReceived"] == 0


async def test_a_call_that_rings_has_no_room_to_look_into(server, http, call):
    otomo_socket = http.ws_connect(server.url("/ws"), headers=server.headers("kyo", "otomo"))
    async with otomo_socket:
        await call.admin.request("PUT", "/admin/rates/kyo", {"pricePerMinute": 0})
        ann = Api(http, server.base, server.token("ann", "user"))
        asked = await ann.request("POST", "/calls", {"otomoId": "kyo"})
        seen = await call.admin.request("GET", f"/admin/calls/{asked['callId']}")
        await ann.request("POST", f"/calls/{asked['callId']}/cancel")
        kept = await ann.request("GET", f"/calls/{asked['callId']}")
    assert seen["live"]["worker"] is None
    assert [(one["userId"], one["sockets"]) for one in seen["live"]["parties"]] == [("ann", 0), ("kyo", 1)]
    assert (kept["endedBy"], kept["worker"], kept["mos"], kept["quality"]) == ("user", None, None, [])
