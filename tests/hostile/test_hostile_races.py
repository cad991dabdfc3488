"""Everything at once: what may happen one time only happens one time, and nothing half-made is left."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable

from app.media.party_objects import NEW_TRANSPORTS
from tests.conftest import eventually
from tests.hostile.attacker import GOOD_AUDIO, Answer, Media, Scene, Victim

MANY = 8
ROUNDS = 5


async def at_once(*asked: Awaitable[Answer]) -> Counter[str]:
    """How often each code came; "" is success."""
    return Counter(answer.code for answer in await asyncio.gather(*asked))


def without_ssrc(ssrc: int) -> dict[str, object]:
    return GOOD_AUDIO | {"encodings": [{"ssrc": ssrc}]}


async def test_of_transports_at_once_one_is_left(scene: Scene, victim: Victim) -> None:
    body = {"callId": victim.call_id, "direction": "send"}
    answers = await asyncio.gather(*(victim.user("POST", "/rtc/transports", body) for _ in range(MANY)))
    made = {answer.done(201)["transportId"] for answer in answers}
    [left] = scene.server.registry.room(victim.call_id).transports
    assert left in made
    assert len(made) == MANY


async def test_transports_without_end_are_refused(scene: Scene, victim: Victim) -> None:
    body = {"callId": victim.call_id, "direction": "send"}
    codes = await at_once(*(victim.user("POST", "/rtc/transports", body) for _ in range(NEW_TRANSPORTS + MANY)))
    assert codes == {"": NEW_TRANSPORTS, "TRANSPORT_LIMIT_EXCEEDED": MANY}
    assert len(scene.server.registry.room(victim.call_id).transports) == 1
    (await victim.user("POST", "/rtc/transports", body | {"direction": "recv"})).done(201)
    (await victim.otomo("POST", "/rtc/transports", body)).done(201)


async def test_one_of_many_different_produces_succeeds(victim: Victim) -> None:
    sender = await victim.user.transport(victim.call_id, "send")
    codes = await at_once(*(victim.user.produce(victim.call_id, sender, without_ssrc(n + 1)) for n in range(MANY)))
    assert codes == {"": 1, "PRODUCER_ALREADY_EXISTS": MANY - 1}


async def test_equal_produces_and_consumes_at_once_are_one(victim: Victim) -> None:
    sender, receiver = await asyncio.gather(
        victim.user.transport(victim.call_id, "send"), victim.otomo.transport(victim.call_id, "recv")
    )
    produced = await asyncio.gather(*(victim.user.produce(victim.call_id, sender) for _ in range(MANY)))
    (producer,) = {answer.done(201)["producerId"] for answer in produced}
    consumed = await asyncio.gather(*(victim.otomo.consume(victim.call_id, receiver, producer) for _ in range(MANY)))
    assert len({answer.done(201)["consumerId"] for answer in consumed}) == 1


async def test_one_of_many_connects_and_of_many_resumes_succeeds(victim: Victim, media: Media) -> None:
    assert await at_once(*(victim.user.connect(media.sender) for _ in range(MANY))) == {
        "": 1,
        "ALREADY_CONNECTED": MANY - 1,
    }
    resume = f"/rtc/consumers/{media.consumer}/resume"
    assert await at_once(*(victim.otomo("POST", resume) for _ in range(MANY))) == {"": 1, "ALREADY_RESUMED": MANY - 1}
    (await victim.otomo("POST", resume)).refused("ALREADY_RESUMED")
    mute = f"/rtc/producers/{media.producer}/pause"
    assert await at_once(*(victim.user("POST", mute) for _ in range(MANY))) == {"": MANY}


async def test_a_consumer_whose_producer_closes_at_that_moment_is_not_found(victim: Victim, media: Media) -> None:
    sender, receiver, producer, consumer = vars(media).values()
    for _ in range(ROUNDS):
        codes = await at_once(
            victim.user("DELETE", f"/rtc/producers/{producer}"),
            victim.otomo("POST", f"/rtc/consumers/{consumer}/resume"),
            victim.otomo("GET", f"/rtc/consumers/{consumer}/stats"),
            victim.otomo("POST", f"/rtc/consumers/{consumer}/pause"),
            victim.otomo.consume(victim.call_id, receiver, producer),
        )
        assert codes[""] >= 1
        assert set(codes) <= {"", "CONSUMER_NOT_FOUND", "PRODUCER_NOT_FOUND", "INVALID_CALL_STATE"}, codes
        producer = (await victim.user.produce(victim.call_id, sender)).done(201)["producerId"]
        consumer = (await victim.otomo.consume(victim.call_id, receiver, producer)).done(201)["consumerId"]


async def test_a_transport_closed_while_it_is_used_leaves_nothing(scene: Scene, victim: Victim) -> None:
    for _ in range(ROUNDS):
        sender = await victim.user.transport(victim.call_id, "send")
        codes = await at_once(
            victim.user.produce(victim.call_id, sender),
            victim.user.connect(sender),
            victim.user("DELETE", f"/rtc/transports/{sender}"),
            victim.user.produce(victim.call_id, sender),
            victim.user("POST", f"/rtc/transports/{sender}/restart-ice"),
            victim.user("GET", f"/rtc/transports/{sender}/stats"),
        )
        assert set(codes) <= {"", "TRANSPORT_NOT_FOUND", "INVALID_CALL_STATE"}, codes
        await eventually(scene.disagreement)
        assert scene.server.registry.room(victim.call_id).producers == {}


async def test_clean_ups_at_once_from_both_parties_while_everything_goes_on(scene: Scene) -> None:
    for _ in range(ROUNDS):
        victim = await scene.victim()
        media = await scene.set_up(victim)
        theirs = await victim.otomo.transport(victim.call_id, "send")
        path = f"/rtc/rooms/{victim.call_id}/cleanup"
        body = {"callId": victim.call_id, "direction": "recv"}
        asked = (
            victim.otomo.produce(victim.call_id, theirs),
            victim.user("POST", "/rtc/transports", body),
            victim.user("DELETE", path),
            victim.otomo("DELETE", path),
            victim.user("DELETE", path),
            victim.otomo.produce(victim.call_id, theirs, without_ssrc(9)),
            victim.otomo.consume(victim.call_id, media.receiver, media.producer),
            victim.user.connect(media.sender),
            victim.otomo("POST", f"/rtc/consumers/{media.consumer}/resume"),
            victim.user("POST", f"/rtc/producers/{media.producer}/pause"),
            victim.user("POST", f"/calls/{victim.call_id}/end"),
            victim.admin("POST", f"/admin/calls/{victim.call_id}/end"),
        )
        answers = await asyncio.gather(*asked)
        cleaned = [answer.body["released"] for answer in answers if answer.status == 200 and "cleaned" in answer.body]
        assert sum(any(released.values()) for released in cleaned) <= 1, "what is closed is counted once"
        assert {answer.status for answer in answers} <= {200, 201, 404, 409}, [str(answer) for answer in answers]
        assert victim.call_id not in scene.server.registry
        stored = (await victim.user("GET", f"/calls/{victim.call_id}")).done()
        assert stored["state"] == "ended"
        assert [step["type"] for step in stored["timeline"]].count("ended") == 1
        assert scene.server.registry.rooms_by_object == {}


async def test_one_of_many_calls_by_one_id_is_opened(scene: Scene) -> None:
    admin = scene.attacker("root", "admin")
    for number in range(ROUNDS):
        body = {"userId": "u", "otomoId": "o", "callId": f"same-{number}"}
        assert await at_once(*(admin("POST", "/admin/calls", body) for _ in range(MANY))) == {
            "": 1,
            "INVALID_CALL_STATE": MANY - 1,
        }
        ends = await at_once(*(admin("POST", f"/admin/calls/same-{number}/end") for _ in range(MANY)))
        assert ends == {"": MANY}, "a retry is answered as the first try"
        (await admin("POST", f"/calls/same-{number}/end")).refused("FORBIDDEN")


async def test_an_adjustment_sent_many_times_at_once_counts_once(scene: Scene) -> None:
    admin, user = scene.attacker("root", "admin"), scene.attacker("rich", "user")
    body = {"amount": 500, "reason": "gift", "idempotencyKey": "once"}
    path = "/admin/wallets/rich/adjust"
    assert await at_once(*(admin("POST", path, body) for _ in range(MANY))) == {"": MANY}
    assert (await user("GET", "/wallet/balance")).done()["balance"] == 500
    (await admin("POST", path, body | {"amount": 501})).refused("IDEMPOTENCY_KEY_REUSED")
    (await admin("POST", path, body | {"amount": -501, "idempotencyKey": "2"})).refused("INSUFFICIENT_POINTS")
    top = {"amount": 10**12, "reason": "gift", "idempotencyKey": "top"}
    (await admin("POST", path, top)).done()
    assert (await user("GET", "/wallet/balance")).done()["balance"] == 500 + 10**12


async def test_every_answer_to_a_ringing_call_at_once_leads_to_one_end(scene: Scene) -> None:
    caller, otomo = scene.attacker("caller", "user"), scene.attacker("called", "otomo")
    (await scene.attacker("root", "admin")("PUT", "/admin/rates/called", {"pricePerMinute": 0})).done()
    async with scene.http.ws_connect(scene.server.base + "/ws", headers=otomo.headers):
        for _ in range(ROUNDS):
            rung = await at_once(*(caller("POST", "/calls", {"otomoId": "called"}) for _ in range(MANY)))
            assert rung[""] == 1, rung
            assert set(rung) <= {"", "OTOMO_BUSY", "CALLER_BUSY"}, rung
            (call,) = scene.server.registry
            path = f"/calls/{call.id}"
            answers = await asyncio.gather(
                otomo("POST", f"{path}/accept"),
                caller("POST", f"{path}/cancel"),
                otomo("POST", f"{path}/reject", {"reason": "busy"}),
                otomo("POST", f"{path}/accept"),
                caller("POST", f"{path}/end"),
                otomo("POST", f"{path}/accept"),
            )
            assert {answer.code for answer in answers} <= {"", "INVALID_CALL_STATE"}, [str(one) for one in answers]
            if call.live:
                (await caller("POST", f"{path}/end")).done()
            timeline = [step["type"] for step in (await caller("GET", path)).done()["timeline"]]
            assert timeline.count("ended") == 1
            assert timeline.count("matched") <= 1
