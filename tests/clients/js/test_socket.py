"""The client's WebSocket: cut at any message and back without missing one; tokens that expire and that are none."""

from __future__ import annotations

import asyncio

import pytest

from app.access.tokens import issue_token
from tests.clients.js.parties import Stage, ring

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

AT_A_TIME = 3  # pairs of tabs, on a small machine
MESSAGES = 7  # that each party is sent in the call below, at the least
STATES = ["connecting", "talking", "ended"]


async def test_a_socket_that_is_cut_at_any_message_misses_none(stage: Stage):
    turn = asyncio.Semaphore(AT_A_TIME)

    async def one(after: int) -> None:
        async with turn, stage.people() as people:
            user, otomo = people
            for person in people:
                await person.do(f"cut.after = {after}")
            call_id = await ring(user, otomo)
            assert await otomo.do("call.callId") == call_id
            await otomo.do("call.accept()")
            await asyncio.gather(user.hears(), otomo.hears())
            await otomo.do("call.mute()")
            await user.until("call.isRemoteMuted")
            await otomo.do("call.mute(false)")
            await user.until("!call.isRemoteMuted")
            await user.told("tick", 2)
            await user.do("call.hangUp()")
            for person in people:
                summary = await person.told("ended")
                assert summary["reason"] == "manual"
                assert [one["state"] for one in await person.do("party.payloads('state')")] == STATES
                ticks = [tick["tickNumber"] for tick in await person.do("party.payloads('tick')")]
                assert ticks == sorted(set(ticks))
                assert await person.do("cut.cuts") == 1, (person.role, after)

    await asyncio.gather(*map(one, range(MESSAGES)))


async def test_a_token_that_expires_is_asked_for_again_and_the_call_goes_on(stage: Stage):
    async with stage.people() as (user, otomo):
        fresh = user.token
        await user.do("vp.disconnect()")
        await user.start(user.tab, token=issue_token(stage.node.settings, user.user_id, "user", 3))
        await user.do(f"party.token = '{fresh}'")
        await ring(user, otomo)
        await otomo.do("call.accept()")
        await user.until("party.payloads('vp.state').some(({ state }) => state === 'reconnecting')")
        await user.until("vp.state === 'connected'")
        assert await user.do("party.asked") >= 2
        await asyncio.gather(user.hears(), otomo.hears())
        ticks = len(await user.do("party.payloads('tick')"))
        await user.told("tick", ticks + 1)
        assert len([one for one in await user.do("party.payloads('vp.state')") if one["state"] == "reconnecting"]) == 1


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("'nonsense'", "UNAUTHORIZED"),
        ("'no token'", "TOKEN_FAILED"),
        ("() => ''", "TOKEN_FAILED"),
        ("() => Promise.reject(new Error())", "TOKEN_FAILED"),
    ],
    ids=["nonsense", "no token", "nothing", "failure"],
)
async def test_a_token_that_is_none_is_told_at_once_and_leaves_nothing(stage: Stage, token: str, code: str):
    async with stage.people() as (user, _):
        await user.do("vp.disconnect()")
        made = f"new vp.constructor({{ url: location.origin, token: {token} }})"
        assert await user.do(f"party.refusal(() => {made}.connect())") == code
        assert await user.do(f"party.refusal(() => {made}.call('x'))") == code
        await user.has_left()


async def test_a_server_that_is_not_there_is_told_as_network(stage: Stage):
    async with stage.people() as (user, _):
        nobody = "new vp.constructor({ url: 'http://127.0.0.1:9', token: 'x' })"
        assert await user.do(f"party.refusal(() => {nobody}.connect())") == "NETWORK"


async def test_whoever_opens_too_many_sockets_is_told_that_the_oldest_was_replaced(stage: Stage):
    async with stage.people() as (user, _):
        another = "new vp.constructor({ url: location.origin, token: party.token })"
        await user.do(f"Promise.all(Array.from({{ length: 10 }}, () => (party.more ??= []).push({another})))")
        await user.do("Promise.all(party.more.map((one) => one.connect()))")
        await user.until("party.payloads('vp.state').at(-1).error?.code === 'REPLACED' || vp.state === 'disconnected'")
        await user.do("Promise.all(party.more.map((one) => one.disconnect()))")
