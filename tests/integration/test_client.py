"""`voiceplane.client` against a running node: a call from its ringing to its end, and what may come between."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from app.keys import DRAIN, HUB
from app.person import Person
from app.signaling.limits import CloseCode
from tests.conftest import Server, eventually, serving
from tests.integration.callers import PATIENCE_S, Scene, left_over, scene
from tests.integration.conftest import worker_holds_nothing
from voiceplane.client import (
    Call,
    CallEnded,
    ClientError,
    Connected,
    ConnectionChanged,
    Ended,
    Moved,
    QualityChanged,
    Refused,
    RemoteMuted,
    Resumed,
    Tick,
    TokenFailed,
    Unreachable,
    Voiceplane,
)
from voiceplane.client.tone import Tone
from voiceplane.testcall import OTOMO_HZ, USER_HZ

OTHER_HZ = 700.0


@pytest.fixture
async def at_node(server: Server) -> AsyncIterator[Scene[Server]]:
    async with scene(server) as made:
        yield made


async def test_a_call_is_rung_answered_heard_and_ended_and_nothing_is_left(at_node):
    user, otomo = await at_node.talk()
    assert (user.call.state, otomo.call.state) == ("talking", "talking")
    assert user.call.media_epoch == otomo.call.media_epoch == 1
    assert user.call.level > 0.1
    stats = await user.call.stats()
    assert stats.packets_sent > 50 < stats.packets_received
    assert stats.transports == ("ICE completed, DTLS connected",) * 2
    await user.told.until(QualityChanged)
    assert user.call.quality in ("excellent", "good", "fair", "poor")
    assert left_over(), "this test must be able to see them"

    end = await otomo.call.hang_up("good night")
    assert end.reason == "manual"
    assert await user.call.ended() == end
    for party in (user, otomo):
        await party.told.until(Ended)
        course = [kind for kind in party.told.kinds() if kind != "QualityChanged"]
        assert course[-4:] == ["StateChanged", "Connected", "StateChanged", "Ended"]
    assert (at_node.user.calls, at_node.otomo.calls) == ((), ())
    await eventually(lambda: [one for one in left_over() if one != "Socket._keep"])
    await worker_holds_nothing(at_node.server)


async def test_leaving_the_client_hangs_up_and_leaves_nothing(server):
    async with scene(server) as made:
        await made.talk()
    await eventually(left_over)
    await worker_holds_nothing(server)


async def test_a_client_that_goes_without_hanging_up_finds_its_call_again(server):
    async with scene(server) as made:
        user, otomo = await made.talk()
        await made.user.disconnect(hang_up=False)
        async with Voiceplane(server.base, server.token("user", "user")) as again:
            back = await again.current()
            assert back is not None
            assert (back.id, back.state) == (user.call.id, "talking")
            await back.join(Tone(OTHER_HZ))
            await otomo.hears(OTHER_HZ)
            assert (await back.hang_up()).reason == "manual"
            assert await again.current() is None


async def test_whoever_joins_from_elsewhere_takes_the_call_over(at_node):
    user, otomo = await at_node.talk()
    token = at_node.server.token("user", "user")
    async with Voiceplane(at_node.server.base, token) as elsewhere:
        back = await elsewhere.join(user.call.id, audio=Tone(OTHER_HZ))
        there = at_node.follow(back)
        at_node.listen(there)
        assert (await user.call.ended()).reason == "elsewhere"
        await asyncio.gather(there.hears(OTOMO_HZ), otomo.hears(OTHER_HZ))
        assert otomo.call.state == "talking"
        await back.hang_up()
    assert (await otomo.call.ended()).reason == "manual"


async def test_a_call_that_is_answered_elsewhere_rings_no_more(at_node, server):
    rings: asyncio.Queue[Call] = asyncio.Queue()
    async with Voiceplane(server.base, server.token("otomo", "otomo")) as other_device:
        other_device.on("incoming", rings.put_nowait)
        user, _ = await at_node.talk()
        async with asyncio.timeout(PATIENCE_S):
            ringing = await rings.get()
            assert (await ringing.ended()).reason == "elsewhere"
    assert user.call.state == "talking"
    assert (await user.call.hang_up()).reason == "manual"


async def test_a_call_may_be_rejected(at_node, server):
    async with Voiceplane(server.base, server.token("shy", "otomo")) as shy:
        shy.on("incoming", lambda call: call.reject("not now"))
        call = await at_node.user.call("shy")
        assert call.state == "ringing"
        assert (await call.ended()).reason == "rejected"
        with pytest.raises(CallEnded):
            await call.join()


async def test_a_caller_may_give_up(at_node, server):
    async with Voiceplane(server.base, server.token("slow", "otomo")) as slow:
        rings: asyncio.Queue[Call] = asyncio.Queue()
        slow.on("incoming", rings.put_nowait)
        call = await at_node.user.call("slow")
        async with asyncio.timeout(PATIENCE_S):
            ringing = await rings.get()
        assert (await call.hang_up()).reason == "cancelled"
        assert (await ringing.ended()).reason == "cancelled"
        with pytest.raises(ClientError):
            await ringing.accept()


async def test_a_call_that_nobody_takes_is_over_by_itself(settings_with):
    async with (
        serving(settings_with(ring_timeout_s=0.5)) as server,
        Voiceplane(server.base, server.token("away", "otomo")),
        scene(server) as made,
        asyncio.timeout(PATIENCE_S),
    ):
        call = await made.user.call("away")
        assert (await call.ended()).reason == "timeout"


async def test_an_otomo_is_away_and_back(at_node):
    await at_node.otomo.set_status("away")
    [(otomo_id, _)] = await shown(at_node.user, "away")
    with pytest.raises(Refused) as refusal:
        await at_node.user.call(otomo_id)
    assert refusal.value.code == "OTOMO_OFFLINE"
    await at_node.otomo.set_status("available")
    await shown(at_node.user, "online")


async def shown(user, status):
    """The otomos that the user sees, as soon as one has that status."""
    await eventually(lambda: status not in user.otomos.values() and f"{dict(user.otomos)}")
    return [one for one in user.otomos.items() if one[1] == status]


async def test_failures_have_codes(at_node, server):
    with pytest.raises(Refused) as refusal:
        await at_node.user.call("nobody")
    assert refusal.value.code in ("OTOMO_OFFLINE", "OTOMO_NOT_FOUND")
    with pytest.raises(Refused) as refusal:
        await at_node.user.join("no-such-call")
    assert refusal.value.code == "CALL_NOT_FOUND"
    assert at_node.user.calls == ()
    with pytest.raises(Refused) as refusal:
        await at_node.user.set_status("away")
    assert refusal.value.code == "FORBIDDEN"
    for token, code in (("nonsense", "UNAUTHORIZED"), (lambda: "", "TOKEN_FAILED")):
        with pytest.raises((Refused, TokenFailed)) as failure:
            await Voiceplane(server.base, token).connect()
        assert failure.value.code == code
    with pytest.raises(Unreachable) as nobody_there:
        await Voiceplane("http://127.0.0.1:1", "token").connect()
    assert nobody_there.value.code == "NETWORK"


@pytest.mark.parametrize("role", ["user", "otomo"])
async def test_a_preflight_says_what_would_work_and_leaves_nothing(server, role):
    good = await Voiceplane.preflight(server.base, server.token("mia", role))
    assert (good.http, good.websocket, good.udp) == (True, True, True)
    assert (good.tcp, good.turn, good.microphone) == (None, None, None)
    assert (good.ok, good.round_trip_ms > 0, good.mos > 3) == (True, True, True)
    await eventually(left_over)
    await worker_holds_nothing(server)


async def test_a_preflight_says_what_would_not_work(server):
    bad = await Voiceplane.preflight(server.base, "nonsense")
    assert (bad.ok, bad.http.code, bad.websocket.code) == (False, "UNAUTHORIZED", "UNAUTHORIZED")
    assert (bad.udp, bad.mos, bad.round_trip_ms) == (None, None, None)
    server.app[DRAIN].begin()
    full = await Voiceplane.preflight(server.base, server.token("mia", "user"))
    assert (full.ok, full.http, full.udp.code, full.mos) == (False, True, "DRAINING", None)


async def test_a_preflight_that_hears_nothing_says_so_and_leaves_nothing(settings_with):
    """The server tells an address at which nobody is."""
    async with serving(settings_with(rtc_announced_address=("127.0.0.9",))) as server:
        deaf = await Voiceplane.preflight(server.base, server.token("mia", "user"))
        assert (deaf.ok, deaf.http, deaf.udp.code, deaf.mos) == (False, True, "MEDIA_FAILED", None)
        await eventually(left_over)
        await worker_holds_nothing(server)


async def test_a_muted_party_is_not_heard_until_it_speaks_again(at_node):
    user, otomo = await at_node.talk()
    await user.call.mute(True)
    assert (await otomo.told.until(RemoteMuted)) == RemoteMuted(muted=True)
    assert (otomo.call.is_remote_muted, user.call.is_muted) == (True, True)
    await user.hears(OTOMO_HZ)
    await user.call.mute(False)
    assert (await otomo.told.until(RemoteMuted, 2)) == RemoteMuted(muted=False)
    await otomo.hears(USER_HZ)
    await user.call.hang_up()


async def test_another_microphone_is_heard_in_place_of_the_former_and_silence_after_the_last(at_node):
    user, otomo = await at_node.talk()
    former = Tone(OTHER_HZ)
    user.call.set_microphone(former)
    await otomo.hears(OTHER_HZ)
    user.call.set_microphone(None)
    assert former.readyState == "ended"
    await otomo.hears_silence()
    await user.call.hang_up()


async def test_a_lost_socket_comes_back_and_has_missed_nothing(at_node):
    user, otomo = await at_node.talk()
    went: asyncio.Queue[ConnectionChanged] = asyncio.Queue()
    at_node.user.on("state", went.put_nowait)
    hub = at_node.server.app[HUB]
    for code in (CloseCode.TOO_SLOW, CloseCode.TOKEN_EXPIRED):
        for socket in tuple(hub._sockets[Person("user", "user")]):
            socket.close(code)
        await otomo.call.mute(code is CloseCode.TOO_SLOW)  # told while nobody listens, or to the next socket
        async with asyncio.timeout(PATIENCE_S):
            assert [(await went.get()).state, (await went.get()).state] == ["reconnecting", "connected"]
    await user.told.until(RemoteMuted, 2)
    muted = [event.muted for event in user.told.events if isinstance(event, RemoteMuted)]
    assert muted == [True, False]
    await user.call.hang_up()
    await user.told.until(Ended)
    assert user.told.kinds().count("Connected") == 1


async def test_a_socket_that_was_one_too_many_stays_away(at_node):
    why: asyncio.Queue[ConnectionChanged] = asyncio.Queue()
    at_node.user.on("state", why.put_nowait)
    hub = at_node.server.app[HUB]
    for socket in tuple(hub._sockets[Person("user", "user")]):
        socket.close(CloseCode.REPLACED)
    async with asyncio.timeout(PATIENCE_S):
        assert await why.get() == ConnectionChanged(state="closed", code="REPLACED")


async def test_an_expired_token_is_asked_for_again(server):
    given: list[str] = []

    async def token() -> str:
        given.append(server.token("user", "user", 0.5 if not given else 3600.0))
        return given[-1]

    async with Voiceplane(server.base, token) as vp:
        assert await vp.current() is None
    assert len(given) == 2


async def test_a_charged_call_ticks(settings_with):
    async with serving(settings_with(unit_seconds=0.5, price_per_minute=7)) as server, scene(server) as made:
        user, otomo = await made.talk()
        tick = await user.told.until(Tick, 2)
        assert (tick.tick_number, tick.charged_points, tick.total_charged_points) == (2, 7, 14)
        assert tick.user_balance is not None
        assert (await otomo.told.until(Tick)).user_balance is None
        end = await user.call.hang_up()
        assert end.total_charged_points >= 14
        assert (await user.told.until(Connected)).connected_at.tzinfo is not None


async def test_a_call_is_heard_again_after_its_worker_has_died_as_muted_as_before(settings_with):
    async with serving(settings_with(workers=2)) as server, scene(server) as made:
        user, otomo = await made.talk()
        await otomo.call.mute(True)
        assert await user.told.until(RemoteMuted) == RemoteMuted(muted=True)
        kill_worker_of(server, user.call)
        await user.call.mute(True)  # which there is no room for at this moment
        for end in (user, otomo):
            assert await end.told.until(Moved) == Moved(media_epoch=2)
            assert end.call.media_epoch == 2
        await user.told.until(Resumed)
        for end in (user, otomo):
            assert end.call.is_remote_muted
            await end.call.mute(False)
        await otomo.hears(USER_HZ)
        await user.hears(OTOMO_HZ)
        assert (user.call.state, otomo.call.state) == ("talking", "talking")
        end = await user.call.hang_up()
        assert (end.reason, await otomo.call.ended()) == ("manual", end)
        await eventually(lambda: [one for one in left_over() if one != "Socket._keep"])
        await worker_holds_nothing(server)


async def test_a_call_that_loses_a_second_worker_is_over_and_nothing_is_left(settings_with):
    async with serving(settings_with(workers=2)) as server, scene(server) as made:
        user, otomo = await made.talk()
        kill_worker_of(server, user.call)
        for end in (user, otomo):
            await end.told.until(Resumed)
        kill_worker_of(server, user.call)
        assert [(await end.call.ended()).reason for end in (user, otomo)] == ["worker_died"] * 2
        await eventually(lambda: [one for one in left_over() if one != "Socket._keep"])


def kill_worker_of(server: Server, call: Call) -> None:
    """The worker that carries the call dies, as it is."""
    worker = server.pool.slots[server.registry.room(call.id).worker_index].worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
