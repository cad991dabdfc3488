"""Who is not there interrupts a call and does not end it: the clock stands meanwhile, and the same call goes on."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from itertools import pairwise
from typing import Any

import pytest
from av import AudioFrame

from tests.conftest import Server, eventually, serving
from tests.conversation import OTOMO_HZ, conversation
from tests.integration.conftest import worker_holds_nothing
from tests.integration.paid_calls import (
    INTERRUPTED_AFTER_S,
    KEPT_UP_S,
    NOTICED_WITHIN_S,
    PRICE,
    UNIT_S,
    WINDOW_S,
    MakeSettings,
    Scene,
    milliseconds,
    scene,
    talking,
)
from tests.integration.ws import Message, connected
from tests.party import Party
from voiceplane.client.tone import FRAMES_PER_SECOND, Tone

FLAGGED_WITHIN_S = 15.0  # 5 s after the call is connected
PATIENT_S = 30.0  # a window that no test waits for
OPUS = {"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2}
LEAVE = [Party.stop_sending, Party.vanish]


@pytest.fixture
async def server(short: MakeSettings) -> AsyncIterator[Server]:
    """It waits long for whoever is away."""
    async with serving(short(reconnect_window_s=PATIENT_S)) as running:
        yield running


@pytest.fixture
async def hasty(short: MakeSettings) -> AsyncIterator[Server]:
    """It gives up soon."""
    async with serving(short()) as running:
        yield running


async def interrupted(call: Scene, *, count: int = 1) -> Message:
    """What both are told of the call's interruption."""
    told = await call.user.socket.until("call_interrupted", call.call_id, count=count)
    assert await call.otomo.socket.until("call_interrupted", call.call_id, count=count) == told
    assert call.state == "interrupted"
    return told


async def resumed(call: Scene, *, count: int = 1) -> Message:
    told = await call.user.socket.until("call_resumed", call.call_id, count=count)
    assert await call.otomo.socket.until("call_resumed", call.call_id, count=count) == told
    assert call.state == "talking"
    return told


async def hang_up(call: Scene) -> Message:
    await call.user.api.request("POST", f"/calls/{call.call_id}/end")
    return await call.ends("manual")


async def detail_of(call: Scene) -> Message:
    return await call.user.api.request("GET", f"/calls/{call.call_id}")


@pytest.mark.parametrize("leave", LEAVE)
async def test_a_party_that_is_back_in_time_goes_on_with_the_same_call(
    server: Server, leave: Callable[[Party], None]
) -> None:
    async with talking(server) as (call, talk):
        await call.charged(2)
        leave(talk.otomo)
        told = await interrupted(call)
        assert (told["userId"], told["role"], told["reason"]) == (call.otomo.user_id, "otomo", "no_rtp")
        waits_s = (milliseconds(told["until"]) - milliseconds(told["since"])) / 1000
        assert PATIENT_S + INTERRUPTED_AFTER_S <= waits_s < PATIENT_S + INTERRUPTED_AFTER_S + NOTICED_WITHIN_S
        [standing] = (await detail_of(call))["interruptions"]
        assert standing == {name: told[name] for name in ("reason", "userId", "role", "since")} | {"until": None}
        ticks = len(call.user.socket.payloads("call_tick"))

        async with Party.joined(call.otomo.api, call.call_id) as again:
            await again.send(OTOMO_HZ)
            back = await resumed(call)
            assert len(call.user.socket.payloads("call_tick")) == ticks, "while it was interrupted nothing was charged"
            await call.charged(ticks + 2)
            end = await hang_up(call)
        stored = await detail_of(call)
        [line] = stored["interruptions"]
        away_s = (milliseconds(line["until"]) - milliseconds(line["since"])) / 1000
        assert back["interruptedSeconds"] == stored["interruptedSeconds"] == int(away_s)
        assert away_s >= INTERRUPTED_AFTER_S
        there_s = (milliseconds(end["endedAt"]) - milliseconds(stored["connectedAt"])) / 1000
        assert end["durationSeconds"] == pytest.approx(there_s - away_s, abs=1.0)
        steps = [step["type"] for step in stored["timeline"] if step["type"] != "unit"]
        assert steps == ["matched", "connecting", "talking", "interrupted", "talking", "ending", "ended"]
        assert stored["mediaEpoch"] == 1, "its room is the same"
        await worker_holds_nothing(server)


async def test_both_may_be_away_at_once_and_the_second_one_that_is_back_starts_the_clock(server: Server) -> None:
    async with talking(server) as (call, talk):
        await call.charged(1)
        talk.user.vanish()
        talk.otomo.vanish()
        await interrupted(call)
        async with AsyncExitStack() as stack:
            user = await stack.enter_async_context(Party.joined(call.user.api, call.call_id))
            voice = await user.send(440.0)
            await voice.tone.sent(2 * FRAMES_PER_SECOND)
            assert call.state == "interrupted", "one is not both"
            assert call.user.socket.payloads("call_resumed") == []
            otomo = await stack.enter_async_context(Party.joined(call.otomo.api, call.call_id))
            await otomo.send(OTOMO_HZ)
            await resumed(call)
            await hang_up(call)
        [line] = (await detail_of(call))["interruptions"]
        assert line["until"] is not None


async def test_a_call_that_is_interrupted_again_and_again_is_one_call(server: Server) -> None:
    async with talking(server) as (call, talk):
        talk.otomo.vanish()
        for count in (1, 2):
            await interrupted(call, count=count)
            async with conversation(call.user.api, call.otomo.api, call.call_id) as again:
                await resumed(call, count=count)
                await again.heard()
        end = await interrupted(call, count=3)
        assert end["until"] > end["since"]
        await hang_up(call)
        lines = (await detail_of(call))["interruptions"]
        assert len(lines) == 3
        for before, after in pairwise(lines):
            assert before["since"] < before["until"] <= after["since"]


async def test_who_is_away_for_too_long_ends_the_call_when_it_was_last_there(hasty: Server) -> None:
    async with talking(hasty) as (call, talk):
        await call.charged(1)
        talk.user.vanish()
        talk.otomo.vanish()
        told = await interrupted(call)
        end = await call.ends("rtp_stopped")
        assert end["endedAt"] == told["since"]
        [line] = (await detail_of(call))["interruptions"]
        assert line["until"] is not None
        assert (await detail_of(call))["interruptedSeconds"] == 0, "it ended with the interruption's beginning"
        await worker_holds_nothing(hasty)


async def by_the_other(call: Scene) -> None:
    assert (await call.otomo.socket.command("call_end", callId=call.call_id))["type"] == "call_end_ack"


async def by_cleanup(call: Scene) -> None:
    await call.user.api.cleanup(call.call_id)


async def by_an_admin(call: Scene) -> None:
    await call.admin.request("POST", f"/admin/calls/{call.call_id}/end")


@pytest.mark.parametrize(
    ("end_it", "reason"), [(by_the_other, "manual"), (by_cleanup, "manual"), (by_an_admin, "admin")]
)
async def test_an_interrupted_call_can_be_ended_and_costs_what_was_talked(
    server: Server, end_it: Callable[[Scene], Awaitable[None]], reason: str
) -> None:
    async with talking(server) as (call, talk):
        await call.charged(1)
        talk.user.vanish()
        told = await interrupted(call)
        connected_at = (await detail_of(call))["connectedAt"]
        await end_it(call)
        end = await call.ends(reason)
        talked_ms = milliseconds(told["since"]) - milliseconds(connected_at)
        assert abs(end["durationSeconds"] - talked_ms / 1000) <= 1
        assert end["endedAt"] > told["since"]
        await worker_holds_nothing(server)


async def test_points_that_run_out_end_an_interrupted_call(server: Server) -> None:
    """A unit that was due while both were there is charged after one has gone, because the database was busy."""
    async with talking(server, points=PRICE) as (call, talk):
        path = server.settings.data_dir / "voiceplane.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await talk.user_voice.tone.sent(talk.user_voice.tone.frames + round(2 * UNIT_S * FRAMES_PER_SECOND))
            talk.otomo.vanish()
            live = server.registry.call(call.call_id)
            await eventually(lambda: live.interruption is None and "it is not interrupted")
            other.execute("ROLLBACK")
        end = await call.ends("low_balance")
        assert end["totalChargedPoints"] == PRICE


async def test_points_that_are_gone_meanwhile_end_it_once_it_goes_on(server: Server) -> None:
    async with talking(server, points=100 * PRICE) as (call, talk):
        await call.charged(1)
        talk.otomo.vanish()
        await interrupted(call)
        balance = (await call.user.api.request("GET", "/wallet/balance"))["balance"]
        taken = {"amount": -balance, "reason": "gone", "idempotencyKey": "gone"}
        await call.admin.request("POST", f"/admin/wallets/{call.user.user_id}/adjust", taken)
        call.points -= balance
        async with Party.joined(call.otomo.api, call.call_id) as again:
            await again.send(OTOMO_HZ)
            await call.user.socket.until("call_resumed", call.call_id)
            await call.ends("low_balance")


async def test_a_party_that_never_sends_interrupts_and_costs_nothing(hasty: Server) -> None:
    async with scene(hasty) as call, Party.joined(call.user.api, call.call_id) as user:
        voice = await user.send(440.0)
        await call.connected()
        added = await call.otomo.socket.until("producer_added")
        assert added == {
            "callId": call.call_id,
            "producerId": voice.producer_id,
            "userId": call.user.user_id,
            "role": "user",
            "kind": "audio",
            "mediaEpoch": 1,
        }
        assert call.user.socket.payloads("producer_added") == [], "it knows what it did"
        told = await interrupted(call)
        [connected_told] = call.user.socket.payloads("call_connected")
        assert (told["role"], told["since"]) == ("otomo", connected_told["connectedAt"])
        end = await call.ends("rtp_stopped")
        assert (end["totalChargedPoints"], end["durationSeconds"]) == (0, 0)
        assert call.user.socket.payloads("call_tick") == []


async def test_a_party_that_comes_late_talks_from_then_on(server: Server) -> None:
    async with scene(server) as call, Party.joined(call.user.api, call.call_id) as user:
        await user.send(440.0)
        await call.connected()
        await interrupted(call)
        async with Party.joined(call.otomo.api, call.call_id) as otomo:
            await otomo.send(OTOMO_HZ)
            await resumed(call)
            await call.charged(2)
            end = await hang_up(call)
        [line] = (await detail_of(call))["interruptions"]
        talked_ms = milliseconds(end["endedAt"]) - milliseconds(line["until"])
        assert abs(end["durationSeconds"] - talked_ms / 1000) <= 1


async def test_a_muted_party_is_there_as_long_as_its_connection(hasty: Server) -> None:
    async with talking(hasty) as (call, talk):
        await call.user.api.pause_producer(talk.user_voice.producer_id)
        talk.user.stop_sending()
        await call.otomo.socket.until("producer_paused")
        await call.charged(1 + round(KEPT_UP_S / UNIT_S))
        assert call.user.socket.payloads("call_interrupted") == []
        await call.user.api.resume_producer(talk.user_voice.producer_id)
        await call.otomo.socket.until("producer_resumed")
        await call.ends("rtp_stopped")


async def test_a_muted_party_that_vanishes_is_missed_as_any_other(hasty: Server) -> None:
    """Its transport's state says "connected" for half a minute more."""
    async with talking(hasty) as (call, talk):
        await call.otomo.api.pause_producer(talk.otomo_voice.producer_id)
        await call.user.socket.until("producer_paused")
        talk.otomo.vanish()
        told = await interrupted(call)
        assert told["role"] == "otomo"
        await call.ends("rtp_stopped")


async def test_a_party_that_mutes_itself_before_its_first_packet_connects_the_call_all_the_same(server: Server) -> None:
    async with scene(server) as call, Party.joined(call.user.api, call.call_id) as user:
        produce = user.api.produce

        async def produce_muted(*request: Any) -> str:
            producer_id = await produce(*request)
            await user.api.pause_producer(producer_id)
            return producer_id

        user.api.produce = produce_muted  # type: ignore[method-assign]  # mutes before DTLS can have come up
        await user.send(440.0)
        await call.connected()
        await hang_up(call)


async def test_a_party_that_was_muted_from_the_first_is_no_proof_and_is_flagged(server: Server) -> None:
    async with scene(server) as call, Party.joined(call.user.api, call.call_id) as user:
        sending = await call.otomo.api.create_transport(call.call_id, "send")
        unsent = {"mid": "0", "codecs": [OPUS], "encodings": [{"ssrc": 1}], "rtcp": {"cname": "otomo"}}
        producer_id = await call.otomo.api.produce(call.call_id, sending.transport_id, "audio", unsent)
        await call.otomo.api.pause_producer(producer_id)
        await user.send(440.0)
        await call.connected()
        assert (await interrupted(call))["role"] == "otomo"

        async def flagged() -> object:
            seen = await call.admin.request("GET", f"/admin/calls/{call.call_id}")
            flags = {(flag["type"], flag["role"]) for flag in seen["flags"]}
            return ("never_sent", "otomo") not in flags and f"only {flags}"

        await eventually(flagged, FLAGGED_WITHIN_S)
        end = await hang_up(call)
        assert (end["totalChargedPoints"], call.user.socket.payloads("call_tick")) == (0, [])


async def test_lost_sockets_alone_interrupt_nothing(hasty: Server) -> None:
    async with talking(hasty) as (call, _):
        await call.charged(1)
        await call.user.socket.close()
        heard = call.user.socket.told[-1]["seq"]
        await call.otomo.socket.close()
        await call.charged(1 + round(KEPT_UP_S / UNIT_S))
        assert call.state == "talking"
        await call.user.api.request("POST", f"/calls/{call.call_id}/end")
        async with connected(call.http, hasty.base, hasty.token(call.user.user_id, "user"), since=heard) as again:
            end = await again.until("call_end")
            call.user.socket.told += again.told
        assert "call_interrupted" not in call.user.socket.story(call.call_id)
        call.was_told_in_order(call.user)
        await call.adds_up(hasty.ledger, end)


class Discontinuous(Tone):
    """Opus that has nothing to say: digital silence, one packet every 400 ms (DTX, RFC 7587 §3.1.3)."""

    def __init__(self, _: float) -> None:
        super().__init__(0.0)

    async def recv(self) -> AudioFrame:
        frame = await super().recv()
        self.frames += 19
        return frame


async def test_silence_is_alive(hasty: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.party.Tone", Discontinuous)
    async with talking(hasty) as (call, _):
        await call.charged(round(KEPT_UP_S / UNIT_S))
        assert call.user.socket.payloads("call_interrupted") == []
        await hang_up(call)


async def test_a_silence_shorter_than_the_limit_is_no_interruption(short: MakeSettings) -> None:
    async with (
        serving(short(interrupted_after_s=WINDOW_S + INTERRUPTED_AFTER_S)) as server,
        talking(server) as (call, talk),
    ):
        await call.charged(1)
        talk.otomo.vanish()
        async with Party.joined(call.otomo.api, call.call_id) as again:
            await again.send(OTOMO_HZ)
            await call.charged(1 + round(KEPT_UP_S / UNIT_S))
            assert "call_interrupted" not in call.user.socket.story(call.call_id)
            end = await hang_up(call)
        talked_s = (milliseconds(end["endedAt"]) - milliseconds((await detail_of(call))["connectedAt"])) / 1000
        assert end["durationSeconds"] == pytest.approx(talked_s, abs=1.0), (
            "the gap was lived by both, as far as is known"
        )
