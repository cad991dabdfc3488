"""Admins listen in calls, whisper to a party, or speak to both, through a whole node with real sound."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest

from app.keys import SUPERVISORS
from schemas.base import load
from schemas.supervision import SupervisionBody
from tests.conftest import Server, eventually, serving
from tests.integration.callers import scene
from tests.integration.listeners import (
    ADMIN_HZ,
    listening,
    supervised,
    supervisions,
    tone_is_heard,
    tone_is_not_heard,
)
from tests.integration.paid_calls import MakeSettings
from tests.integration.paid_calls import scene as silent_scene
from tests.integration.stage import staged
from tests.integration.ws import connected
from tests.party import Party
from voiceplane.client import Voiceplane
from voiceplane.client.api import Api
from voiceplane.client.errors import Refused
from voiceplane.client.tone import Tone
from voiceplane.testcall import OTOMO_HZ, USER_HZ

OPUS = {"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2}
LISTEN = {"mode": "listen", "reason": "a complaint"}


@pytest.fixture
async def server(settings_with: MakeSettings) -> AsyncIterator[Server]:
    async with serving(settings_with(supervision=True, rate_limit=0, workers=2)) as running:
        yield running


async def refused(api: Api, method: str, path: str, body: Any = None) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        await api.request(method, path, body)
    return refusal.value.status, refusal.value.code


async def test_whoever_listens_hears_both_and_is_heard_by_whom_the_mode_says(server: Server) -> None:
    async with scene(server) as made:
        user, otomo = await made.talk()
        call_id = user.call.id
        supervision_id = await supervised(made.admin, call_id)
        path = f"/admin/calls/{call_id}/supervise/{supervision_id}"
        async with listening(made.admin, call_id) as listener:
            await listener.hears(user=USER_HZ, otomo=OTOMO_HZ)
            await listener.party.send(ADMIN_HZ)
            for end in (user, otomo):
                await tone_is_not_heard(end)
            await made.admin.request("PATCH", path, {"mode": "whisper", "to": "otomo"})
            await tone_is_heard(otomo)
            await tone_is_heard(otomo, USER_HZ)
            await tone_is_not_heard(user)
            await made.admin.request("PATCH", path, {"mode": "barge"})
            await tone_is_heard(user)
            await tone_is_heard(user, OTOMO_HZ)
            await tone_is_heard(otomo)
            await made.admin.request("PATCH", path, {"mode": "whisper", "to": "user"})
            await tone_is_not_heard(otomo)
            await tone_is_heard(user)
            await listener.hears(user=USER_HZ, otomo=OTOMO_HZ)
            await made.admin.request("PATCH", path, {"mode": "listen"})
            await tone_is_not_heard(user)
            assert await made.admin.request("DELETE", path) == {"ended": True}
            room = server.registry.room(call_id)
            assert (room.booths, room.offers, room.offer_consumers) == ({}, {}, {})
            assert await refused(made.admin, "POST", "/rtc/transports", {"callId": call_id, "direction": "recv"}) == (
                403,
                "FORBIDDEN",
            )
        assert await supervisions(made.admin, call_id) == []
        lines = (await made.admin.request("GET", f"/admin/audit?callId={call_id}"))["entries"]
        assert [(line["action"], line["details"].get("mode"), line["details"].get("to")) for line in lines[::-1]] == [
            ("supervision.start", "listen", None),
            ("supervision.change", "whisper", "otomo"),
            ("supervision.change", "barge", None),
            ("supervision.change", "whisper", "user"),
            ("supervision.change", "listen", None),
            ("supervision.end", "listen", None),
        ]
        assert (lines[-1]["reason"], lines[-1]["adminId"]) == ("a complaint", "root")


async def test_a_supervisor_follows_the_call_into_another_room(server: Server) -> None:
    async with scene(server) as made, connected(made.admin.http, server.base, server.token("root", "admin")) as told:
        user, otomo = await made.talk()
        call_id = user.call.id
        supervision_id = await supervised(made.admin, call_id, "barge")
        seen = {"callId": call_id, "supervisionId": supervision_id, "mode": "barge", "to": None}
        assert await told.until("supervision", call_id) == seen | {"mediaEpoch": 1}
        async with listening(made.admin, call_id) as listener:
            await listener.party.send(ADMIN_HZ)
            await tone_is_heard(user)
            index = server.registry.call(call_id).worker
            assert index is not None
            worker = server.pool.slots[index].worker
            assert worker is not None
            os.kill(worker.pid, signal.SIGKILL)
            assert await told.until("supervision", call_id, count=2) == seen | {"mediaEpoch": 2}
        await told.until("producer_added", call_id, count=2)
        roles = {one["role"] for one in told.payloads("producer_added", call_id) if one["mediaEpoch"] == 2}
        assert roles == {"user", "otomo"}
        async with listening(made.admin, call_id) as listener:
            await listener.hears(user=USER_HZ, otomo=OTOMO_HZ)
            await listener.party.send(ADMIN_HZ)
            for end in (user, otomo):
                await tone_is_heard(end)
        await user.call.hang_up()
        over = {"callId": call_id, "supervisionId": supervision_id, "reason": "call_ended"}
        assert await told.until("supervision_ended", call_id) == over
        for method, body in (("PATCH", {"mode": "listen"}), ("DELETE", None)):
            path = f"/admin/calls/{call_id}/supervise/{supervision_id}"
            assert await refused(made.admin, method, path, body) == (409, "INVALID_CALL_STATE")
        await eventually(lambda: why_audit_differs(made.admin, call_id, "call_ended"))
        assert await server.ledger.supervisions.of_call(call_id) == ()


async def why_audit_differs(admin: Api, call_id: str, reason: str, who: str = "root") -> str | None:
    """The ends of that admin's supervisions."""
    path = f"/admin/audit?callId={call_id}&admin={who}&action=supervision.end"
    lines = (await admin.request("GET", path))["entries"]
    return None if [line["reason"] for line in lines] == [reason] else f"{lines}"


async def test_a_party_that_comes_back_hears_a_supervisor_as_well(server: Server) -> None:
    async with scene(server) as made:
        user, _ = await made.talk()
        await supervised(made.admin, user.call.id, "barge")
        async with (
            listening(made.admin, user.call.id) as listener,
            Voiceplane(server.base, server.token("user", "user")) as again,
        ):
            await listener.party.send(ADMIN_HZ)
            await tone_is_heard(user)
            end = made.follow(await again.join(user.call.id, audio=Tone(USER_HZ)))
            made.listen(end)
            await tone_is_heard(end)
            await tone_is_heard(end, OTOMO_HZ)


async def test_many_may_listen_and_one_may_speak(server: Server) -> None:
    async with silent_scene(server) as made:
        path = f"/admin/calls/{made.call_id}/supervise"
        admins = [Api(made.http, server.base, server.token(f"admin-{number}", "admin")) for number in range(5)]
        ids = [await supervised(admin, made.call_id) for admin in admins[:4]]
        assert await refused(admins[4], "POST", path, LISTEN) == (409, "SUPERVISION_LIMIT_EXCEEDED")
        assert await supervised(admins[0], made.call_id) == ids[0]
        assert await supervised(admins[0], made.call_id, "whisper", to="user") == ids[0]
        assert await refused(admins[1], "PATCH", f"{path}/{ids[1]}", {"mode": "barge"}) == (409, "SUPERVISOR_SPEAKS")
        assert await refused(admins[1], "POST", path, LISTEN | {"mode": "barge"}) == (409, "SUPERVISOR_SPEAKS")
        assert await refused(admins[1], "PATCH", f"{path}/{ids[0]}", {"mode": "listen"}) == (403, "FORBIDDEN")
        listed = [load(SupervisionBody, one) for one in await supervisions(admins[4], made.call_id)]
        assert [(one.admin_id, one.mode, one.to) for one in listed] == [
            ("admin-0", "whisper", "user"),
            *((f"admin-{number}", "listen", None) for number in (1, 2, 3)),
        ]
        await admins[4].request("DELETE", f"{path}/{ids[0]}")
        await admins[1].request("PATCH", f"{path}/{ids[1]}", {"mode": "barge"})
        assert await supervised(admins[4], made.call_id) not in ids


async def test_what_is_no_supervisors_is_refused(server: Server) -> None:
    async with silent_scene(server) as made:
        path = f"/admin/calls/{made.call_id}/supervise"
        for body in ({"mode": "listen"}, LISTEN | {"mode": "whisper"}, LISTEN | {"to": "user"}, LISTEN | {"mode": "x"}):
            assert await refused(made.admin, "POST", path, body) == (400, "BAD_REQUEST")
        for method, suffix, body in (("POST", "", LISTEN), ("GET", "", None), ("DELETE", "/x", None)):
            assert await refused(made.user.api, method, path + suffix, body) == (403, "FORBIDDEN")
            elsewhere = f"/admin/calls/nowhere/supervise{suffix}"
            assert await refused(made.admin, method, elsewhere, body) == (404, "CALL_NOT_FOUND")
        assert await refused(made.admin, "DELETE", f"{path}/x") == (404, "SUPERVISION_NOT_FOUND")
        assert await refused(made.admin, "PATCH", f"{path}/x", {"mode": "listen"}) == (404, "SUPERVISION_NOT_FOUND")
        opening = {"callId": made.call_id, "direction": "send"}
        assert await refused(made.admin, "POST", "/rtc/transports", opening) == (403, "FORBIDDEN")
        await made.admin.request("POST", f"/admin/calls/{made.call_id}/end")
        assert await refused(made.admin, "POST", path, LISTEN) == (409, "INVALID_CALL_STATE")
        assert await supervisions(made.admin, made.call_id) == []


async def test_the_endpoints_of_media_are_as_a_partys(server: Server) -> None:
    async with silent_scene(server) as made, Party.joined(made.user.api, made.call_id) as user:
        voice = await user.send(USER_HZ)
        await supervised(made.admin, made.call_id)
        admin, call_id = made.admin, made.call_id
        first = await admin.request("POST", "/rtc/transports", {"callId": call_id, "direction": "send"})
        second = await admin.request("POST", "/rtc/transports", {"callId": call_id, "direction": "send"})
        hearing = await admin.request("POST", "/rtc/transports", {"callId": call_id, "direction": "recv"})
        assert (second["mediaEpoch"], second["transportId"] != first["transportId"]) == (1, True)
        at = "/rtc/transports/"
        assert await refused(admin, "DELETE", at + first["transportId"]) == (404, "TRANSPORT_NOT_FOUND")
        for api in (made.user.api, made.otomo.api):
            assert await refused(api, "DELETE", at + second["transportId"]) == (404, "TRANSPORT_NOT_FOUND")
        sent = {"mid": "0", "codecs": [OPUS], "encodings": [{"ssrc": 7}], "rtcp": {"cname": "x"}}
        asked = {"callId": call_id, "transportId": second["transportId"], "kind": "audio", "rtpParameters": sent}
        produced = await admin.request("POST", "/rtc/producers", asked)
        assert await admin.request("POST", "/rtc/producers", asked) == produced
        other = asked | {"rtpParameters": sent | {"encodings": [{"ssrc": 8}]}}
        assert await refused(admin, "POST", "/rtc/producers", other) == (409, "PRODUCER_ALREADY_EXISTS")
        consuming = {"callId": call_id, "transportId": hearing["transportId"], "producerId": voice.producer_id}
        consumer = await admin.request("POST", "/rtc/consumers", consuming)
        assert await admin.request("POST", "/rtc/consumers", consuming) == consumer
        own = consuming | {"producerId": produced["producerId"]}
        assert await refused(admin, "POST", "/rtc/consumers", own) == (404, "PRODUCER_NOT_FOUND")
        of_consumer = f"/rtc/consumers/{consumer['consumerId']}"
        assert await admin.request("POST", f"{of_consumer}/resume") == {"resumed": True}
        assert await refused(admin, "POST", f"{of_consumer}/resume") == (409, "ALREADY_RESUMED")
        assert await admin.request("POST", f"{of_consumer}/pause") == {"paused": True}
        assert await refused(made.user.api, "POST", f"{of_consumer}/resume") == (404, "CONSUMER_NOT_FOUND")
        of_producer = f"/rtc/producers/{produced['producerId']}"
        assert await refused(made.user.api, "DELETE", of_producer) == (404, "PRODUCER_NOT_FOUND")
        for path in (f"{at}{second['transportId']}/stats", f"{of_producer}/stats", f"{of_consumer}/stats"):
            assert "stats" in await admin.request("GET", path)
        mine = (await admin.request("GET", f"/calls/{call_id}"))["media"]
        assert {one["transportId"] for one in mine["transports"]} == {second["transportId"], hearing["transportId"]}
        assert "iceParameters" in await admin.request("POST", f"{at}{second['transportId']}/restart-ice")
        for _ in range(8):
            await admin.request("POST", "/rtc/transports", {"callId": call_id, "direction": "send"})
        again = {"callId": call_id, "direction": "send"}
        assert await refused(admin, "POST", "/rtc/transports", again) == (409, "TRANSPORT_LIMIT_EXCEEDED")
        assert await refused(admin, "POST", f"{of_producer}/pause") == (404, "PRODUCER_NOT_FOUND")


async def test_it_may_begin_while_the_call_rings(settings_with: MakeSettings) -> None:
    settings = settings_with(supervision=True, rate_limit=0)
    async with staged(settings) as stage:
        await stage.ring()
        await supervised(stage.admin, "u_call")
        opening = {"callId": "u_call", "direction": "recv"}
        assert await refused(stage.admin, "POST", "/rtc/transports", opening) == (404, "ROOM_NOT_FOUND")
        await stage.accept()
        assert "transportId" in await stage.admin.request("POST", "/rtc/transports", opening)


async def test_a_supervision_lasts_as_long_as_its_token(server: Server) -> None:
    async with silent_scene(server) as made:
        for name, ttl_s, reason in (("short", 2.0, "token_expired"), ("long", 3600.0, "token_withdrawn")):
            await supervised(Api(made.http, server.base, server.token(name, "admin", ttl_s)), made.call_id)
            if reason == "token_withdrawn":
                await made.admin.request("POST", f"/admin/users/admin/{name}/revoke")
            await eventually(lambda: why_somebody_is_there(made.admin, made.call_id))
            await eventually(partial(why_audit_differs, made.admin, made.call_id, reason, name))


async def why_somebody_is_there(admin: Api, call_id: str) -> str | None:
    there = await supervisions(admin, call_id)
    return f"{there}" if there else None


async def test_whoever_is_gone_supervises_no_more(server: Server) -> None:
    server.app[SUPERVISORS].absent_s = 2.0
    async with scene(server) as made:
        user, _ = await made.talk()
        await supervised(made.admin, user.call.id)
        async with listening(made.admin, user.call.id) as listener:
            for _ in range(4):
                await listener.hears(user=USER_HZ)
            assert len(await supervisions(made.admin, user.call.id)) == 1
        await eventually(lambda: why_somebody_is_there(made.admin, user.call.id))
        await eventually(lambda: why_audit_differs(made.admin, user.call.id, "absent"))


async def test_the_parties_are_told_where_they_are_to_know(settings_with: MakeSettings) -> None:
    async with serving(settings_with(supervision=True, supervision_told=True)) as server, silent_scene(server) as made:
        other = Api(made.http, server.base, server.token("other", "admin"))
        first = await supervised(made.admin, made.call_id, "barge")
        second = await supervised(other, made.call_id)
        for one in (first, second):
            await made.admin.request("DELETE", f"/admin/calls/{made.call_id}/supervise/{one}")
        for who in (made.user, made.otomo):
            await who.socket.until("supervised", made.call_id, count=2)
            told = who.socket.payloads("supervised", made.call_id)
            assert [one["supervised"] for one in told] == [True, False]


async def test_nothing_of_it_is_there_where_it_is_off(settings_with: MakeSettings) -> None:
    async with serving(settings_with()) as server, silent_scene(server) as made:
        path = f"/admin/calls/{made.call_id}/supervise"
        for method, suffix, body in (
            ("POST", "", LISTEN),
            ("PATCH", "/x", {"mode": "listen"}),
            ("DELETE", "/x", None),
        ):
            assert await refused(made.admin, method, path + suffix, body) == (403, "NOT_ENABLED")
        assert await made.admin.request("GET", path) == {"enabled": False, "supervisions": []}
