"""Every way in which a call with real media ends: what both sides are told of it, in which order, and what it cost."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from av import AudioFrame

from app.clock import iso
from app.ledger import Ledger
from app.settings import Settings
from schemas.call import CallState
from tests.conftest import Server, eventually, serving
from tests.conversation import Conversation, conversation
from tests.integration.conftest import worker_holds_nothing
from tests.integration.ws import Message, Person, connected, person
from tests.party import Party
from voiceplane.client.api import Api
from voiceplane.client.tone import FRAMES_PER_SECOND, Tone

UNIT_S = 1.0
STOPPED_AFTER_S = 3.0
GRACE_S = 1.5
NOTICED_WITHIN_S = 4.0  # after the limit: a check every 2 s at most, on a busy machine
PRICE = 100
POINTS = 10_000
CONNECTED_WITHIN_MS = 500  # promised are 100, on a machine of one's own
NEVER_SENT_WITHIN_S = 15.0  # until it is flagged: 5 s after the call is connected
OPUS = {"mimeType": "audio/opus", "payloadType": 111, "clockRate": 48000, "channels": 2}
KEPT_UP_S = STOPPED_AFTER_S + 2  # a call that is still there after so long has not been ended


@dataclass
class Scene:
    """A call on a node, between two people who are online. They talk, or are about to."""

    server: Server
    http: aiohttp.ClientSession
    admin: Api
    user: Person
    otomo: Person
    points: int
    call_id: str = "call"

    async def connected(self) -> None:
        await self.user.socket.until("call_connected", self.call_id)
        await self.otomo.socket.until("call_connected", self.call_id)

    async def charged(self, units: int) -> None:
        """Wait until so many units are in the ledger."""

        async def why_not() -> str | None:
            stored = (await self.server.ledger.billing(self.call_id)).units
            return f"{len(stored)} of {units} units are charged" if len(stored) < units else None

        await eventually(why_not, within_s=units * UNIT_S + 10)

    @property
    def state(self) -> str:
        call = self.server.registry.find(self.call_id)
        return call.state if call else "gone"

    async def ends(self, *reasons: str) -> Message:
        """Both are told of an end for one of these reasons, and all that they were told adds up with the ledger.

        Returns the payload of ``call_end``.
        """
        end = await self.user.socket.until("call_end", self.call_id)
        assert await self.otomo.socket.until("call_end", self.call_id) == end
        assert end["reason"] in reasons
        for who in (self.user, self.otomo):
            self.was_told_in_order(who)
        await self.adds_up(self.server.ledger, end)
        await eventually(lambda: self.call_id in self.server.registry and "the call is there")
        return end

    def was_told_in_order(self, who: Person) -> None:
        story = who.socket.story(self.call_id)
        ticks = who.socket.payloads("call_tick", self.call_id)
        assert who.socket.reads_in_order()
        assert story.count("call_connected") == story.count("call_end") == 1, story
        assert story[-1] == "call_end"
        told = [one for one in story if one in ("call_connected", "call_tick", "call_end")]
        assert told == ["call_connected", *["call_tick"] * len(ticks), "call_end"], story
        assert [tick["tickNumber"] for tick in ticks] == list(range(1, len(ticks) + 1))
        assert all(("userBalance" in tick) == (who is self.user) for tick in ticks)

    async def adds_up(self, ledger: Ledger, end: Message) -> None:
        """Units, totals, ticks, wallet and statement say the same."""
        ticks = self.user.socket.payloads("call_tick", self.call_id)
        stored, billing = await ledger.call(self.call_id), await ledger.billing(self.call_id)
        spent = sum(tick["chargedPoints"] for tick in ticks)
        assert [(unit.index, unit.points) for unit in billing.units] == [
            (tick["tickNumber"], tick["chargedPoints"]) for tick in ticks
        ]
        assert (stored.state, stored.end_reason) == (CallState.ENDED, end["reason"])
        assert spent == billing.total_points == stored.billed_points == end["totalChargedPoints"]
        assert stored.billed_units == len(ticks) <= stored.duration_seconds / UNIT_S
        assert stored.duration_seconds == end["durationSeconds"]
        assert (await ledger.balance(self.user.user_id)).balance == self.points - spent
        assert sum(line.billed_points for line in (await ledger.usage(self.user.user_id)).items) == spent
        assert await ledger.audit() == ()


MakeSettings = Callable[..., Settings]


@pytest.fixture
def short(settings_with: MakeSettings) -> MakeSettings:
    """Settings with a unit of a second and limits of a few."""

    def make(**changed: object) -> Settings:
        timers = {"unit_seconds": UNIT_S, "rtp_stopped_after_s": STOPPED_AFTER_S, "rtp_grace_s": GRACE_S}
        return settings_with(**{"rate_limit": 0, "price_per_minute": PRICE, **timers, **changed})

    return make


@asynccontextmanager
async def scene(server: Server, *, points: int = POINTS, call_id: str = "call") -> AsyncIterator[Scene]:
    """A call that is matched."""
    async with aiohttp.ClientSession() as http:
        admin = Api(http, server.base, server.token("root", "admin"))
        names = f"user-of-{call_id}", f"otomo-of-{call_id}"
        gift = {"amount": points, "reason": "gift", "idempotencyKey": call_id}
        await admin.request("POST", f"/admin/wallets/{names[0]}/adjust", gift)
        async with person(server, http, names[0], "user") as user, person(server, http, names[1], "otomo") as otomo:
            await admin.open_call(call_id, *names)
            yield Scene(server, http, admin, user, otomo, points, call_id)


@asynccontextmanager
async def talking(
    server: Server, *, points: int = POINTS, call_id: str = "call"
) -> AsyncIterator[tuple[Scene, Conversation]]:
    """A call in which both hear each other."""
    async with (
        scene(server, points=points, call_id=call_id) as made,
        conversation(made.user.api, made.otomo.api, call_id) as talk,
    ):
        await made.connected()
        await talk.heard()
        yield made, talk


@pytest.fixture
async def server(short: MakeSettings) -> AsyncIterator[Server]:
    async with serving(short()) as running:
        yield running


def milliseconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp() * 1000


async def hang_up(call: Scene) -> None:
    await call.user.api.request("POST", f"/calls/{call.call_id}/end")


async def hang_up_by_socket(call: Scene) -> None:
    assert (await call.otomo.socket.command("call_end", callId=call.call_id))["type"] == "call_end_ack"


async def clean_up(call: Scene) -> None:
    released = await call.otomo.api.cleanup(call.call_id)
    assert (released.transports, released.producers, released.consumers) == (4, 2, 2)


async def end_as_admin(call: Scene) -> None:
    await call.admin.request("POST", f"/admin/calls/{call.call_id}/end")


@pytest.mark.parametrize(
    ("end_it", "reason"),
    [(hang_up, "manual"), (hang_up_by_socket, "manual"), (clean_up, "manual"), (end_as_admin, "admin")],
)
async def test_somebody_ends_it(server: Server, end_it: Callable[[Scene], Awaitable[None]], reason: str) -> None:
    async with talking(server) as (call, _):
        await call.charged(2)
        await end_it(call)
        end = await call.ends(reason)
        assert end["totalChargedPoints"] >= 2 * PRICE
        await worker_holds_nothing(server)


async def test_the_first_packet_connects_and_is_told_at_once(server: Server) -> None:
    async with talking(server) as (call, _):
        for who in (call.user, call.otomo):
            [told] = [event for event in who.socket.told if event["type"] == "call_connected"]
            took_ms = who.socket.came_ms[told["seq"]] - milliseconds(told["payload"]["connectedAt"])
            print(f"call_connected came to the {who.user_id} {took_ms:.0f} ms after the first packet")
            assert took_ms < CONNECTED_WITHIN_MS
            assert told["payload"]["method"] == "sfu_rtp_detected"
        stored = await server.ledger.call(call.call_id)
        assert iso(stored.connected_at_ms) == told["payload"]["connectedAt"]
        timeline = (await call.admin.request("GET", f"/calls/{call.call_id}"))["timeline"]
        assert [step["type"] for step in timeline][:3] == ["matched", "connecting", "talking"]
        await hang_up(call)
        await call.ends("manual")


async def test_a_connection_that_cannot_be_stored_is_told_later_and_was_when_it_was(
    server: Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server.ledger._database, "_timeout_s", 1.0)
    async with scene(server) as call:
        path = server.settings.data_dir / "voiceplane.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with conversation(call.user.api, call.otomo.api, call.call_id) as talk:
                await talk.heard()
                await eventually(lambda: "the connection waits" not in caplog.text and "storing has not failed yet")
                assert call.state == "connecting"
                assert call.user.socket.payloads("call_connected") == []
                locked_until_ms = time.time() * 1000
                other.execute("ROLLBACK")
                await call.connected()
                await call.charged(1)
                await hang_up(call)
        end = await call.ends("manual")
        connected_ms = milliseconds(call.user.socket.payloads("call_connected")[0]["connectedAt"])
        assert connected_ms < locked_until_ms
        assert end["durationSeconds"] == (milliseconds(end["endedAt"]) - connected_ms) // 1000


@pytest.mark.parametrize("leave", [Party.stop_sending, Party.vanish])
async def test_a_party_falls_silent(server: Server, leave: Callable[[Party], None]) -> None:
    async with talking(server) as (call, talk):
        await call.charged(1)
        leave(talk.otomo)
        began = time.monotonic()
        end = await call.ends("rtp_stopped")
        assert STOPPED_AFTER_S - 1.5 < time.monotonic() - began < STOPPED_AFTER_S + NOTICED_WITHIN_S
        timeline = (await call.admin.request("GET", f"/calls/{call.call_id}"))["timeline"]
        assert timeline[-1]["cause"] == f"rtp_stopped at otomo {call.otomo.user_id}"
        assert timeline[-1]["at"] == end["endedAt"]
        await worker_holds_nothing(server)


async def test_a_party_loses_its_socket_and_stops(server: Server) -> None:
    async with talking(server) as (call, talk):
        await call.charged(1)
        await call.user.socket.close()
        heard = call.user.socket.told[-1]["seq"]
        talk.user.stop_sending()
        assert (await call.otomo.socket.until("call_end"))["reason"] == "disconnect"
        token = server.token(call.user.user_id, "user")
        async with connected(call.http, server.base, token, since=heard) as again:
            end = await again.until("call_end")
            call.user.socket.told += again.told
        call.was_told_in_order(call.user)
        await call.adds_up(server.ledger, end)
        call.was_told_in_order(call.otomo)
        await worker_holds_nothing(server)


async def test_lost_sockets_alone_end_nothing(server: Server) -> None:
    async with talking(server) as (call, _):
        await call.charged(1)
        await call.user.socket.close()
        heard = call.user.socket.told[-1]["seq"]
        await call.otomo.socket.close()
        await call.charged(1 + round(KEPT_UP_S / UNIT_S))
        assert call.state == "talking"
        await hang_up(call)
        async with connected(call.http, server.base, server.token(call.user.user_id, "user"), since=heard) as again:
            end = await again.until("call_end")
            call.user.socket.told += again.told
        call.was_told_in_order(call.user)
        await call.adds_up(server.ledger, end)


async def test_a_party_closes_its_connection(server: Server) -> None:
    async with talking(server) as (call, talk):
        await call.charged(1)
        for handler in talk.otomo._handlers:
            await handler.close()  # says goodbye: DTLS is closed
        began = time.monotonic()
        await call.ends("network_failed")
        assert time.monotonic() - began < GRACE_S + NOTICED_WITHIN_S
        await worker_holds_nothing(server)


async def test_the_points_run_out(server: Server) -> None:
    async with talking(server, points=250) as (call, _):
        end = await call.ends("low_balance")
        assert end["totalChargedPoints"] == 250
        ticks = call.user.socket.payloads("call_tick")
        assert [(one["status"], one["chargedPoints"], one["userBalance"]) for one in ticks] == [
            ("ok", 100, 150),
            ("low_balance", 100, 50),
            ("ended", 50, 0),
        ]
        updates = call.user.socket.payloads("wallet_update")
        assert [one["balance"] for one in updates if one["reason"] == "call_tick"] == [150, 50, 0]
        assert call.otomo.socket.payloads("wallet_update") == []
        await worker_holds_nothing(server)


async def test_the_worker_is_killed(server: Server) -> None:
    async with talking(server) as (call, _):
        await call.charged(1)
        killed_ms = time.time() * 1000
        os.kill(server.pool.slots[0].worker.pid, signal.SIGKILL)
        end = await call.ends("worker_died")
        age_ms = killed_ms - milliseconds(end["endedAt"])
        assert -50 < age_ms < 3000, "it ended when the last packet was proven, which a sweep does every second"
        stored = await server.ledger.call(call.call_id)
        lasted_ms = stored.ended_at_ms - stored.connected_at_ms
        assert 1000 * end["durationSeconds"] - 1 <= lasted_ms <= 1000 * end["durationSeconds"] + 1000


async def test_the_node_stops(short: MakeSettings) -> None:
    async with AsyncExitStack() as node:
        server = await node.enter_async_context(serving(short()))
        async with talking(server) as (call, _):
            await call.charged(1)
            await node.aclose()
            end = await call.user.socket.until("call_end")
            assert await call.otomo.socket.until("call_end") == end
            assert end["reason"] == "system_error"
            call.was_told_in_order(call.user)
            call.was_told_in_order(call.otomo)
            async with serving(server.settings) as successor:
                await call.adds_up(successor.ledger, end)
                assert await successor.ledger.recovery_log() == (), "nothing was left to recover"


async def test_sound_in_one_direction_is_never_charged(server: Server) -> None:
    async with scene(server) as call, Party.joined(call.user.api, call.call_id) as user:
        voice = await user.send(440.0)
        await call.connected()
        added = await call.otomo.socket.until("producer_added")
        assert added == {
            "callId": call.call_id,
            "producerId": voice.producer_id,
            "userId": call.user.user_id,
            "role": "user",
            "kind": "audio",
        }
        await voice.tone.sent(voice.tone.frames + round(KEPT_UP_S * FRAMES_PER_SECOND))
        assert call.state == "talking", "the other one has 30 s to come"
        await call.user.api.request("DELETE", f"/rtc/producers/{voice.producer_id}")
        assert await call.otomo.socket.until("producer_removed") == added
        assert call.user.socket.payloads("producer_added") == [], "it knows what it did"
        await hang_up(call)
        end = await call.ends("manual")
        assert (end["totalChargedPoints"], call.user.socket.payloads("call_tick")) == (0, [])
        assert end["durationSeconds"] >= KEPT_UP_S - 1


async def test_a_muted_party_is_there_as_long_as_its_connection(server: Server) -> None:
    async with talking(server) as (call, talk):
        await call.user.api.pause_producer(talk.user_voice.producer_id)
        talk.user.stop_sending()
        await call.otomo.socket.until("producer_paused")
        await call.charged(1 + round(KEPT_UP_S / UNIT_S))
        assert call.state == "talking"
        await call.user.api.resume_producer(talk.user_voice.producer_id)
        await call.otomo.socket.until("producer_resumed")
        await call.ends("rtp_stopped")


async def test_a_muted_party_that_vanishes_is_missed_as_any_other(server: Server) -> None:
    """Its transport's state says "connected" for half a minute more."""
    async with talking(server) as (call, talk):
        await call.otomo.api.pause_producer(talk.otomo_voice.producer_id)
        await call.user.socket.until("producer_paused")
        talk.otomo.vanish()
        began = time.monotonic()
        await call.ends("rtp_stopped")
        assert time.monotonic() - began < STOPPED_AFTER_S + NOTICED_WITHIN_S


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
        await call.ends("manual")


async def test_a_party_that_was_muted_from_the_first_is_no_proof_and_is_flagged(server: Server) -> None:
    async with scene(server) as call, Party.joined(call.user.api, call.call_id) as user:
        sending = await call.otomo.api.create_transport(call.call_id, "send")
        unsent = {"mid": "0", "codecs": [OPUS], "encodings": [{"ssrc": 1}], "rtcp": {"cname": "otomo"}}
        producer_id = await call.otomo.api.produce(call.call_id, sending.transport_id, "audio", unsent)
        await call.otomo.api.pause_producer(producer_id)
        await user.send(440.0)
        await call.connected()

        async def flagged() -> object:
            seen = await call.admin.request("GET", f"/admin/calls/{call.call_id}")
            flags = {(flag["type"], flag["role"]) for flag in seen["flags"]}
            return ("never_sent", "otomo") not in flags and f"only {flags}"

        await eventually(flagged, NEVER_SENT_WITHIN_S)
        assert call.state == "talking"
        await hang_up(call)
        end = await call.ends("manual")
        assert (end["totalChargedPoints"], call.user.socket.payloads("call_tick")) == (0, [])


class Discontinuous(Tone):
    """Opus that has nothing to say: digital silence, one packet every 400 ms (DTX, RFC 7587 §3.1.3)."""

    def __init__(self, _: float) -> None:
        super().__init__(0.0)

    async def recv(self) -> AudioFrame:
        frame = await super().recv()
        self.frames += 19
        return frame


async def test_silence_is_alive(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.party.Tone", Discontinuous)
    async with talking(server) as (call, _):
        await call.charged(round(KEPT_UP_S / UNIT_S))
        assert call.state == "talking"
        await hang_up(call)
        await call.ends("manual")


async def test_a_worker_that_hangs_ends_no_call_of_another_one(short: MakeSettings) -> None:
    async with (
        serving(short(workers=2)) as server,
        talking(server, call_id="first") as (first, _),
        talking(server, call_id="second") as (second, _),
    ):
        rooms = [server.registry.room(call.call_id) for call in (first, second)]
        assert rooms[0].channel is not rooms[1].channel, "they are on different workers"
        [hanging] = [slot.worker for slot in server.pool.slots if slot.worker.channel is rooms[0].channel]
        os.kill(hanging.pid, signal.SIGSTOP)
        await first.ends("worker_died", "rtp_stopped")  # its silence may be noticed first
        units = len((await server.ledger.billing("second")).units)
        await second.charged(units + 3)
        assert second.state == "talking"
        await hang_up(second)
        await second.ends("manual")
