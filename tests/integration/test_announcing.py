"""Clips that are played into a call with real media: who is told, who hears them, and who knows nothing of it."""

from __future__ import annotations

from typing import Any

import pytest

from app.media.room import Room
from tests.app.announcing.stage import listen
from tests.app.announcing.test_clip import SOUND, opus_file
from tests.conftest import eventually, serving
from tests.integration.paid_calls import Scene, scene, talking
from tests.integration.ws import Person
from voiceplane.client.errors import Refused

LOUD_ENOUGH = 50  # packets of a clip of a second


@pytest.fixture
def clips_dir(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "news.opus").write_bytes(opus_file(*[SOUND] * LOUD_ENOUGH))
    (folder / "picture.opus").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return folder


def room_of(made: Scene) -> Room:
    call = made.server.registry.find(made.call_id)
    assert call is not None
    assert call.room is not None
    return call.room


async def offered(who: Person, *, count: int = 1) -> dict[str, Any]:
    """What somebody is told of the ``count``-th thing that is neither party's."""

    def told() -> list[dict[str, Any]]:
        return [one for one in who.socket.payloads("producer_added", "call") if one.get("source")]

    await eventually(lambda: len(told()) < count and f"{len(told())} of {count} are offered")
    return told()[count - 1]


async def receive(who: Person, producer_id: str) -> str:
    """RTC-05 and RTC-06 on the receive transport that the party has."""
    media = (await who.api.request("GET", "/calls/call"))["media"]
    [transport_id] = [one["transportId"] for one in media["transports"] if one["direction"] == "recv"]
    body = {"callId": "call", "transportId": transport_id, "producerId": producer_id}
    consumer_id = (await who.api.request("POST", "/rtc/consumers", body))["consumerId"]
    await who.api.request("POST", f"/rtc/consumers/{consumer_id}/resume")
    return consumer_id


async def announce(made: Scene, clip: str, to: str) -> dict[str, Any]:
    return await made.admin.request("POST", f"/admin/calls/{made.call_id}/announce", {"clip": clip, "to": to})


async def sent_to(who: Person, consumer_id: str) -> int:
    """How many packets of a consumer the server has sent."""
    stats = (await who.api.request("GET", f"/rtc/consumers/{consumer_id}/stats"))["stats"]
    return stats[0]["packetCount"] if stats else 0  # the producer's follow


async def test_a_clip_is_heard_by_whom_it_is_for_and_is_nobodys_sound(short, clips_dir):
    async with serving(short(clips_dir=clips_dir)) as server, talking(server) as (made, talk):
        answer = await announce(made, "news", "user")
        assert {name: answer[name] for name in ("callId", "clip", "to", "durationMs")} == {
            "callId": "call",
            "clip": "news",
            "to": "user",
            "durationMs": 1000,
        }
        told = await offered(made.user)
        assert (told["source"], told["userId"], told["role"], told["kind"]) == ("announcement", None, None, "audio")
        listener = await listen(room_of(made), told["producerId"])
        await receive(made.user, told["producerId"])
        await listener.heard(LOUD_ENOUGH)
        assert {packet.payload for packet in listener.packets} == {SOUND}
        removed = await made.user.socket.until("producer_removed", "call")
        assert (removed["producerId"], removed["source"]) == (told["producerId"], "announcement")
        listed = (await made.admin.request("GET", "/rtc/rooms/call/producers"))["producers"]
        assert {one["role"] for one in listed} == {"user", "otomo"}
        assert not [one for one in made.otomo.socket.payloads("producer_added", "call") if one.get("source")]
        [noted] = (await made.admin.request("GET", "/admin/audit?action=call.announce"))["entries"]
        assert (noted["callId"], noted["details"]) == ("call", {"clip": "news", "to": "user"})
        live = await made.admin.request("GET", "/admin/calls/call")
        assert (live["state"], [one for one in live["flags"] if one["until"] is None]) == ("talking", [])
        frames = talk.user_hearing.receiver.frames
        await talk.user_hearing.heard(frames + 10)


async def test_both_legs_are_played_to_at_once(short, clips_dir):
    async with serving(short(clips_dir=clips_dir)) as server, talking(server) as (made, _):
        await announce(made, "news", "both")
        for who in (made.user, made.otomo):
            told = await offered(who)
            consumer_id = await receive(who, told["producerId"])

            async def unheard(who: Person = who, consumer_id: str = consumer_id) -> str | None:
                sent = await sent_to(who, consumer_id)
                return f"{sent} packets" if sent < LOUD_ENOUGH // 2 else None

            await eventually(unheard)


async def test_what_can_be_played_is_listed_with_what_can_t(short, clips_dir):
    async with serving(short(clips_dir=clips_dir)) as server, scene(server) as made:
        listed = (await made.admin.request("GET", "/admin/clips"))["clips"]
        assert {one["clip"]: (one["builtin"], one["durationMs"], one["problem"]) for one in listed} == {
            "hold": (True, 6020, None),
            "join": (True, 360, None),
            "news": (False, 1000, None),
            "picture": (False, None, "is no Ogg file: there is no page at byte 0"),
            "warning": (True, 800, None),
        }


async def test_what_can_t_be_played_or_has_nobody_to_hear_it_is_refused(short, clips_dir):
    async with serving(short(clips_dir=clips_dir)) as server, scene(server) as made:

        async def refusal(clip: str, call_id: str = "call") -> tuple[int, str]:
            with pytest.raises(Refused) as refused:
                await made.admin.request("POST", f"/admin/calls/{call_id}/announce", {"clip": clip, "to": "both"})
            return refused.value.status, refused.value.code

        assert await refusal("nothing") == (404, "CLIP_NOT_FOUND")
        assert await refusal("picture") == (404, "CLIP_NOT_FOUND")
        assert await refusal("../clips/news") == (400, "BAD_REQUEST")
        assert await refusal("news", "nowhere") == (404, "CALL_NOT_FOUND")
        for path in ("/admin/clips", "/admin/calls/call/announce"):
            method, body = ("GET", None) if path.endswith("clips") else ("POST", {"clip": "news", "to": "user"})
            assert await made.user.refused(method, path, body) == (403, "FORBIDDEN")
        await made.admin.request("POST", "/admin/calls/call/end")
        assert await refusal("news") == (409, "INVALID_CALL_STATE")


async def test_whose_points_run_out_hears_the_warning(short, clips_dir):
    settings = short(clips_dir=clips_dir, low_balance_clip="news", ending_warnings_s=(2,))
    async with serving(settings) as server, talking(server, points=400) as (made, _):
        told = await offered(made.user)
        ending = await made.user.socket.until("call_ending", "call")
        assert (told["source"], ending["reason"]) == ("announcement", "low_balance")
        await made.ends("low_balance")
        assert not [one for one in made.otomo.socket.payloads("producer_added", "call") if one.get("source")]


async def test_a_warning_that_can_t_be_played_is_in_the_log_and_harms_nobody(short, caplog):
    settings = short(low_balance_clip="gone", ending_warnings_s=(2,))
    async with serving(settings) as server, talking(server, points=300) as (made, _):
        assert "LOW_BALANCE_CLIP can't be played: there is no clip gone" in caplog.text
        await made.ends("low_balance")
        assert "the user hears no warning" in caplog.text


async def test_a_call_on_hold_goes_on_without_either_hearing_the_other(short):
    async with serving(short()) as server, talking(server) as (made, talk):
        held = await made.admin.request("POST", "/admin/calls/call/hold", {"music": "hold"})
        assert (held["held"], held["music"]) == (True, "hold")
        assert await made.admin.request("GET", "/admin/calls/call/hold") == held
        assert await made.admin.request("POST", "/admin/calls/call/hold", {"music": "hold"}) == held
        for who in (made.user, made.otomo):
            told = await offered(who)
            assert (told["source"], told["role"]) == ("music", None)
            paused = await who.socket.until("producer_paused", "call")
            assert (paused["reason"], paused["role"]) == ("hold", "otomo" if who is made.user else "user")
        consumer_id = await receive(made.user, (await offered(made.user))["producerId"])

        async def unheard() -> str | None:
            sent = await sent_to(made.user, consumer_id)
            return f"{sent} packets of music" if sent < LOUD_ENOUGH else None

        await eventually(unheard)
        listed = (await made.admin.request("GET", "/rtc/rooms/call/producers"))["producers"]
        assert [one["paused"] for one in listed] == [True, True]
        heard = ((made.user, talk.user_hearing), (made.otomo, talk.otomo_hearing))
        before = [await sent_to(who, hearing.consumer_id) for who, hearing in heard]
        ticks = len(made.user.socket.payloads("call_tick", "call"))
        await made.charged(ticks + 7)  # longer than it takes to call a party unheard
        assert [await sent_to(who, hearing.consumer_id) for who, hearing in heard] == before
        live = await made.admin.request("GET", "/admin/calls/call")
        assert (live["state"], live["flags"]) == ("talking", [])
        released = await made.admin.request("POST", "/admin/calls/call/resume", {"reason": "back"})
        assert released == {"callId": "call", "held": False, "since": None, "music": None}
        noted = (await made.admin.request("GET", "/admin/audit?callId=call"))["entries"]
        assert [one["action"] for one in noted] == ["call.resume", "call.hold", "call.hold"]
        assert (noted[0]["reason"], noted[1]["details"]) == ("back", {"music": "hold"})
        for who in (made.user, made.otomo):
            assert (await who.socket.until("producer_resumed", "call"))["reason"] == "hold"
            assert (await who.socket.until("producer_removed", "call"))["source"] == "music"
        await talk.otomo_hearing.heard(talk.otomo_hearing.receiver.frames + LOUD_ENOUGH)


async def test_a_hold_of_what_is_no_live_call_is_refused(short):
    async with serving(short()) as server, scene(server) as made:
        for method, path in (("POST", "hold"), ("POST", "resume"), ("GET", "hold")):
            assert await made.user.refused(method, f"/admin/calls/call/{path}") == (403, "FORBIDDEN")
            with pytest.raises(Refused, match="CALL_NOT_FOUND"):
                await made.admin.request(method, f"/admin/calls/nowhere/{path}")
        with pytest.raises(Refused, match="CLIP_NOT_FOUND"):
            await made.admin.request("POST", "/admin/calls/call/hold", {"music": "nothing"})
        await made.admin.request("POST", "/admin/calls/call/end")
        with pytest.raises(Refused, match="INVALID_CALL_STATE"):
            await made.admin.request("POST", "/admin/calls/call/hold")
