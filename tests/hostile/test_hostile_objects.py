"""Ids of everything that is not the caller's to touch: foreign, dead, of the wrong kind, of a call that has ended."""

from __future__ import annotations

import pytest

from tests.hostile.attacker import GOOD_AUDIO, GOOD_DTLS, Answer, Attacker, Json, Media, Scene, Victim
from tests.schemas.sample_bodies import CAPABILITIES

NOBODYS = "00000000-0000-4000-8000-000000000000"

BY_TRANSPORT = (
    ("POST", "/rtc/transports/{}/connect", {"dtlsParameters": GOOD_DTLS}),
    ("POST", "/rtc/transports/{}/restart-ice", None),
    ("GET", "/rtc/transports/{}/stats", None),
    ("DELETE", "/rtc/transports/{}", None),
)
BY_PRODUCER = (
    ("POST", "/rtc/producers/{}/pause", None),
    ("POST", "/rtc/producers/{}/resume", None),
    ("GET", "/rtc/producers/{}/stats", None),
    ("DELETE", "/rtc/producers/{}", None),
)
BY_CONSUMER = (
    ("POST", "/rtc/consumers/{}/resume", None),
    ("POST", "/rtc/consumers/{}/pause", None),
    ("GET", "/rtc/consumers/{}/stats", None),
)
ENDPOINTS = {"TRANSPORT_NOT_FOUND": BY_TRANSPORT, "PRODUCER_NOT_FOUND": BY_PRODUCER, "CONSUMER_NOT_FOUND": BY_CONSUMER}


async def try_all(who: Attacker, object_id: str, missing: str) -> list[Answer]:
    """Every endpoint of that kind of object, with this id."""
    return [await who(method, path.format(object_id), body) for method, path, body in ENDPOINTS[missing]]


async def all_refused(who: Attacker, object_id: str, missing: str, code: str) -> None:
    for answer in await try_all(who, object_id, missing):
        answer.refused(code)


@pytest.mark.parametrize("missing", ENDPOINTS)
async def test_ids_of_nothing_and_of_other_kinds_of_objects_are_not_found(
    victim: Victim, media: Media, missing: str
) -> None:
    kinds = {"TRANSPORT_NOT_FOUND": {media.sender, media.receiver}, "PRODUCER_NOT_FOUND": {media.producer}}
    right = kinds.get(missing, {media.consumer})
    wrong = {NOBODYS, victim.call_id, "x", "..", "%00", "null", *vars(media).values()} - right
    for object_id in wrong - {".."}:
        await all_refused(victim.user, object_id, missing, missing)
        await all_refused(victim.otomo, object_id, missing, missing)


async def test_the_other_partys_objects_are_not_found_and_strangers_are_forbidden(victim: Victim, media: Media) -> None:
    owned = (
        (media.sender, "TRANSPORT_NOT_FOUND", victim.otomo),
        (media.receiver, "TRANSPORT_NOT_FOUND", victim.user),
        (media.producer, "PRODUCER_NOT_FOUND", victim.otomo),
        (media.consumer, "CONSUMER_NOT_FOUND", victim.user),
    )
    for object_id, missing, other_party in owned:
        await all_refused(other_party, object_id, missing, missing)
        await all_refused(victim.stranger, object_id, missing, "FORBIDDEN")
        for answer in await try_all(victim.admin, object_id, missing):
            assert answer.status == 200 if answer.asked.startswith("GET") else answer.code == "FORBIDDEN", answer


async def test_produce_takes_only_the_callers_own_send_transport_of_that_call(
    scene: Scene, victim: Victim, media: Media
) -> None:
    other = await scene.victim()
    others = await scene.set_up(other)
    mine = await victim.user.transport(victim.call_id, "recv")
    theirs = await victim.otomo.transport(victim.call_id, "send")
    wrong = {NOBODYS, mine, theirs, media.receiver, media.producer, media.consumer, *vars(others).values()}
    for transport_id in wrong:
        answer = (await victim.user.produce(victim.call_id, transport_id)).refused("TRANSPORT_NOT_FOUND")
        assert answer.body["message"] == "送信用Transportが存在しません。"
    for call_id in ("nobodys", media.sender[:36]):
        (await victim.user.produce(call_id, media.sender)).refused("ROOM_NOT_FOUND")
    (await victim.user.produce(other.call_id, media.sender)).refused("FORBIDDEN")
    (await victim.stranger.produce(victim.call_id, media.sender)).refused("FORBIDDEN")
    (await victim.admin.produce(victim.call_id, media.sender)).refused("FORBIDDEN")
    (await victim.user.produce(victim.call_id, media.sender, kind="video")).refused("BAD_REQUEST", "kind")
    (await victim.user.produce("nobodys", NOBODYS, kind="video")).refused("BAD_REQUEST", "kind")


async def test_consume_takes_only_the_callers_own_receive_transport_and_the_others_producer(
    scene: Scene, victim: Victim, media: Media
) -> None:
    other = await scene.victim()
    others = await scene.set_up(other)
    mine = await victim.otomo.transport(victim.call_id, "send")
    own = (await victim.otomo.produce(victim.call_id, mine)).done(201)["producerId"]
    for transport_id in {NOBODYS, mine, media.sender, media.producer, media.consumer, *vars(others).values()}:
        answer = await victim.otomo.consume(victim.call_id, transport_id, media.producer)
        assert answer.refused("TRANSPORT_NOT_FOUND").body["message"] == "受信用Transportが存在しません。"
    for producer_id in {NOBODYS, own, media.sender, media.receiver, media.consumer, others.producer}:
        answer = await victim.otomo.consume(victim.call_id, media.receiver, producer_id)
        answer.refused("PRODUCER_NOT_FOUND")
    (await victim.otomo.consume("nobodys", media.receiver, media.producer)).refused("ROOM_NOT_FOUND")
    (await victim.otomo.consume(other.call_id, media.receiver, media.producer)).refused("FORBIDDEN")
    (await victim.stranger.consume(victim.call_id, media.receiver, media.producer)).refused("FORBIDDEN")
    video = CAPABILITIES | {"codecs": [CAPABILITIES["codecs"][0] | {"mimeType": "audio/PCMU"}]}
    (await victim.otomo.consume(victim.call_id, media.receiver, media.producer, video)).refused("CANNOT_CONSUME")


async def test_connect_looks_for_the_call_that_it_names_before_the_transport(
    scene: Scene, victim: Victim, media: Media
) -> None:
    other = await scene.victim()
    for transport_id in (media.sender, NOBODYS):
        path = f"/rtc/transports/{transport_id}/connect"
        for call_id, code in (("nobodys", "ROOM_NOT_FOUND"), (other.call_id, "FORBIDDEN")):
            (await victim.user("POST", path, {"callId": call_id, "dtlsParameters": GOOD_DTLS})).refused(code)
    path = f"/rtc/transports/{NOBODYS}/connect"
    body = {"callId": victim.call_id, "dtlsParameters": GOOD_DTLS}
    (await victim.user("POST", path, body)).refused("TRANSPORT_NOT_FOUND")
    (await victim.stranger("POST", path, body)).refused("FORBIDDEN")


async def test_closed_objects_are_not_found(victim: Victim, media: Media) -> None:
    (await victim.user("DELETE", f"/rtc/producers/{media.producer}")).done()
    await all_refused(victim.user, media.producer, "PRODUCER_NOT_FOUND", "PRODUCER_NOT_FOUND")
    await all_refused(victim.otomo, media.consumer, "CONSUMER_NOT_FOUND", "CONSUMER_NOT_FOUND")
    answer = await victim.otomo.consume(victim.call_id, media.receiver, media.producer)
    answer.refused("PRODUCER_NOT_FOUND")
    (await victim.user("DELETE", f"/rtc/transports/{media.sender}")).done()
    await all_refused(victim.user, media.sender, "TRANSPORT_NOT_FOUND", "TRANSPORT_NOT_FOUND")
    (await victim.user.produce(victim.call_id, media.sender)).refused("TRANSPORT_NOT_FOUND")


async def test_after_the_end_there_is_nothing_left_to_touch(victim: Victim, media: Media) -> None:
    (await victim.user("POST", f"/calls/{victim.call_id}/end")).done()
    for who in (victim.user, victim.otomo, victim.stranger, victim.admin):
        await all_refused(who, media.sender, "TRANSPORT_NOT_FOUND", "TRANSPORT_NOT_FOUND")
        await all_refused(who, media.producer, "PRODUCER_NOT_FOUND", "PRODUCER_NOT_FOUND")
        await all_refused(who, media.consumer, "CONSUMER_NOT_FOUND", "CONSUMER_NOT_FOUND")
        (await who.produce(victim.call_id, media.sender)).refused("ROOM_NOT_FOUND")
        (await who.consume(victim.call_id, media.receiver, media.producer)).refused("ROOM_NOT_FOUND")
        if who in (victim.user, victim.otomo):
            nothing = {"transports": 0, "producers": 0, "consumers": 0}
            cleaned = (await who("DELETE", f"/rtc/rooms/{victim.call_id}/cleanup")).done()
            assert cleaned["released"] == nothing
        else:
            (await who("DELETE", f"/rtc/rooms/{victim.call_id}/cleanup")).refused("ROOM_NOT_FOUND")
        (await who("GET", f"/rtc/rooms/{victim.call_id}/producers")).refused("ROOM_NOT_FOUND")
        body = {"callId": victim.call_id, "direction": "send"}
        (await who("POST", "/rtc/transports", body)).refused("ROOM_NOT_FOUND")
    for action in ("accept", "reject", "cancel", "end"):
        path = f"/calls/{victim.call_id}/{action}"
        if action == "end":  # as which it was ended
            assert (await victim.user("POST", path)).done()["state"] == "ended"
        else:
            (await victim.user("POST", path)).refused("INVALID_CALL_STATE")
        (await victim.otomo("POST", path)).refused("INVALID_CALL_STATE")
        (await victim.stranger("POST", path)).refused("FORBIDDEN")
    (await victim.admin("POST", f"/admin/calls/{victim.call_id}/end")).refused("INVALID_CALL_STATE")


async def test_a_call_obeys_only_who_may_and_only_in_its_state(victim: Victim) -> None:
    for action in ("accept", "reject"):  # these are the otomo's, and it is past them
        (await victim.user("POST", f"/calls/{victim.call_id}/{action}")).refused("FORBIDDEN")
        (await victim.otomo("POST", f"/calls/{victim.call_id}/{action}")).refused("INVALID_CALL_STATE")
    (await victim.otomo("POST", f"/calls/{victim.call_id}/cancel")).refused("FORBIDDEN")
    (await victim.user("POST", f"/calls/{victim.call_id}/cancel")).refused("INVALID_CALL_STATE")
    for who in (victim.stranger, victim.admin):
        for action in ("accept", "reject", "cancel", "end"):
            (await who("POST", f"/calls/{victim.call_id}/{action}")).refused("FORBIDDEN")
        (await who("DELETE", f"/rtc/rooms/{victim.call_id}/cleanup")).refused("FORBIDDEN")
    (await victim.stranger("GET", f"/calls/{victim.call_id}")).refused("FORBIDDEN")
    (await victim.stranger("GET", f"/calls/{victim.call_id}/billing")).refused("FORBIDDEN")
    (await victim.stranger("GET", f"/rtc/rooms/{victim.call_id}/producers")).refused("FORBIDDEN")


async def test_nobody_but_an_admin_does_what_admins_do(victim: Victim) -> None:
    asked = (
        ("POST", "/admin/calls", {"userId": "a", "otomoId": "b"}),
        ("POST", f"/admin/calls/{victim.call_id}/end", None),
        ("POST", "/admin/wallets/a/adjust", {"amount": 5, "reason": "x", "idempotencyKey": "y"}),
        ("PUT", "/admin/rates/b", {"pricePerMinute": 1}),
        ("POST", f"/admin/calls/{victim.call_id}/extend", {"seconds": 5}),
        ("POST", f"/admin/calls/{victim.call_id}/refund", {"points": 5, "reason": "x", "idempotencyKey": "y"}),
        ("GET", "/admin/wallets/a", None),
        ("GET", "/admin/points/outstanding", None),
        ("GET", "/admin/points/daily", None),
        ("POST", "/admin/drain", None),
        ("GET", "/admin/drain", None),
        ("DELETE", "/admin/drain", None),
        ("GET", "/admin/workers", None),
        ("GET", "/admin/series", None),
        ("GET", "/admin/recovery", None),
    )
    for who in (victim.user, victim.otomo, victim.stranger):
        for method, path, body in asked:
            (await who(method, path, body)).refused("FORBIDDEN")
    (await victim.otomo("POST", "/calls", {"otomoId": "somebody"})).refused("FORBIDDEN")
    (await victim.user("POST", "/calls", {"otomoId": "somebody"})).refused("OTOMO_OFFLINE")
    again = {"userId": "a", "otomoId": "b", "callId": victim.call_id}
    (await victim.admin("POST", "/admin/calls", again)).refused("INVALID_CALL_STATE")


async def test_the_same_produce_is_a_retry_and_any_other_is_one_too_many(victim: Victim, media: Media) -> None:
    assert (await victim.user.produce(victim.call_id, media.sender)).done(201)["producerId"] == media.producer
    others: tuple[Json, ...] = ({"mid": "8"}, {"encodings": [{"ssrc": 3}]}, {"rtcp": {"cname": "x"}})
    for other in (*others, {"headerExtensions": []}):
        answer = await victim.user.produce(victim.call_id, media.sender, GOOD_AUDIO | other)
        answer.refused("PRODUCER_ALREADY_EXISTS")
    again = await victim.otomo.consume(victim.call_id, media.receiver, media.producer)
    assert again.done(201)["consumerId"] == media.consumer
