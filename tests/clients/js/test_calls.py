"""The client in Chromium and Firefox: calls that ring, are answered, talk, move from tab to tab, and leave nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.clients.js.conftest import PRICE
from tests.clients.js.parties import Stage, ring, talk, wallet

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
async def test_two_people_talk_pay_mute_hang_up_and_leave_nothing(stage: Stage, browser: str):
    async with stage.people(getattr(stage, browser), stage.chromium) as (user, otomo):
        before = [await person.tab.evaluate("left()") for person in (user, otomo)]
        await talk(user, otomo)
        tick = await user.told("tick")
        assert (tick["chargedPoints"], tick["userBalance"]) == (PRICE, 1000 - PRICE)
        assert "userBalance" not in await otomo.told("tick")
        assert (await user.told("quality"))["quality"] == "excellent"
        stats = await user.do("call.stats()")
        assert (stats["path"], stats["connection"]) == ("udp", {"sending": "connected", "receiving": "connected"})

        await otomo.do("call.mute()")
        await user.until("call.isRemoteMuted && call.remoteLevel === 0")
        await otomo.do("call.mute(false)")
        assert (await user.told("remotemuted", 2)) == {"muted": False}
        await user.hears()

        await user.do("call.hangUp()")
        await otomo.is_in("ended")
        for person, was in zip((user, otomo), before, strict=True):
            summary = await person.told("ended")
            assert (summary["reason"], summary["wasConnected"]) == ("manual", True)
            assert summary["totalChargedPoints"] >= PRICE
            await person.has_left(**was)
            await person.do("vp.disconnect()")
            await person.has_left()


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
async def test_a_declined_a_missed_and_a_cancelled_call_end_as_such(stage: Stage, browser: str):
    async with stage.people(getattr(stage, browser), stage.chromium) as (user, otomo):
        before = await user.tab.evaluate("left()")
        await ring(user, otomo)
        await otomo.do("call.reject('not now')")
        assert (await user.told("ended"))["reason"] == (await otomo.told("ended"))["reason"] == "rejected"

        await user.do(f"party.ring('{otomo.user_id}')")
        await otomo.told("incoming", 2)
        await user.do("call.hangUp()")
        assert (await user.told("ended", 2))["reason"] == (await otomo.told("ended", 2))["reason"] == "cancelled"

        await user.do(f"party.ring('{otomo.user_id}')")
        assert (await user.told("ended", 3))["reason"] == (await otomo.told("ended", 3))["reason"] == "timeout"
        assert (await user.told("ended", 3))["wasConnected"] is False
        await user.has_left(**before)


async def test_a_refusal_has_the_servers_code_and_leaves_no_microphone(stage: Stage):
    async with stage.people() as (user, otomo):
        before = await user.tab.evaluate("left()")
        assert await user.do("party.refusal(() => vp.call('nobody'))") == "OTOMO_OFFLINE"
        assert await user.do("party.refusal(() => vp.join('no-such-call'))") == "CALL_NOT_FOUND"
        assert await otomo.do("party.refusal(() => vp.setStatus('away'))") in {None, "NOT_SUPPORTED"}
        await user.has_left(**before)


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
async def test_a_page_that_is_reloaded_comes_back_into_its_call(stage: Stage, browser: str):
    async with stage.people(getattr(stage, browser), stage.chromium) as (user, otomo):
        call_id = await talk(user, otomo)
        await user.reload()
        assert await user.do("party.comeBack()") == call_id
        await asyncio.gather(user.hears(), otomo.hears())
        await otomo.reload()
        assert await otomo.do("party.comeBack()") == call_id
        await asyncio.gather(user.hears(), otomo.hears())
        assert await user.do("call.state") == "talking"


async def test_a_tab_that_persists_is_told_after_a_reload_what_it_missed(stage: Stage):
    async with stage.people(persist=True) as (user, _):
        path = f"/admin/wallets/{user.user_id}/adjust"
        await stage.ask("POST", path, wallet(1))
        before = (await user.told("vp.wallet"))["balance"]
        await user.do("vp.disconnect()")
        await stage.ask("POST", path, wallet(2))
        await user.tab.reload()
        await user.start(user.tab, persist=True)
        assert (await user.told("vp.wallet"))["balance"] == before + 2
        await user.open()
        assert await user.do("party.payloads('vp.wallet')") == [], "a tab of its own begins anew"


async def test_a_second_tab_takes_the_call_over_and_the_first_one_lets_it_go(stage: Stage):
    async with stage.people(stage.chromium, stage.firefox) as (user, otomo):
        for person, other in ((user, otomo), (otomo, user)):
            before = await person.tab.evaluate("left()")
            call_id = await talk(user, otomo) if person is user else await user.do("call.callId")
            first = person.tab
            await person.open()
            assert await person.do("party.comeBack()") == call_id
            await asyncio.gather(person.hears(), other.hears())
            person.tabs.reverse()
            assert (await person.told("ended"))["reason"] == "elsewhere"
            if person is user:
                await person.has_left(**before)
            assert person.tab == first
            person.tabs.reverse()
        assert await user.do("call.state") == "talking"


async def test_of_two_tabs_that_ring_one_answers_and_the_other_one_stops(stage: Stage):
    async with stage.people() as (user, otomo):
        await otomo.open()
        await ring(user, otomo)
        await otomo.do("call.accept()")
        await asyncio.gather(user.hears(), otomo.hears())
        otomo.tabs.reverse()
        assert (await otomo.told("ended"))["reason"] == "elsewhere"


async def test_a_page_that_is_reloaded_while_it_rings_rings_again(stage: Stage):
    async with stage.people() as (user, otomo):
        call_id = await ring(user, otomo)
        await asyncio.gather(user.reload(), otomo.reload())
        await otomo.told("incoming")
        assert await otomo.do("call.callId") == call_id
        assert await user.do("party.comeBack()") == call_id
        await otomo.do("call.accept()")
        await asyncio.gather(user.hears(), otomo.hears())


async def test_what_the_back_end_has_matched_is_joined_by_its_id(stage: Stage):
    async with stage.people() as (user, otomo):
        body = {"userId": user.user_id, "otomoId": otomo.user_id, "pricePerMinute": 0}
        call_id = (await stage.ask("POST", "/admin/calls", body))["callId"]
        await asyncio.gather(user.do(f"party.join('{call_id}')"), otomo.do(f"party.join('{call_id}')"))
        await asyncio.gather(user.hears(), otomo.hears())


async def test_the_call_ends_with_the_points(stage: Stage):
    async with stage.people(points=2 * PRICE) as (user, otomo):
        await talk(user, otomo)
        for person in (user, otomo):
            summary = await person.told("ended")
            assert (summary["reason"], summary["totalChargedPoints"]) == ("low_balance", 2 * PRICE)
        assert (await user.told("vp.wallet", 2))["balance"] == 0
        assert await user.do(f"party.refusal(() => vp.call('{otomo.user_id}'))") == "INSUFFICIENT_POINTS"


async def test_what_the_server_has_closed_is_opened_anew(stage: Stage):
    async with stage.people(stage.chromium, stage.firefox) as (user, otomo):
        await talk(user, otomo)
        asked = "fetch('/calls/' + call.callId, { headers: { Authorization: 'Bearer ' + party.token } })"
        media = (await user.do(f"{asked}.then((answer) => answer.json())"))["media"]
        for transport in media["transports"]:
            path = f"/rtc/transports/{transport['transportId']}"
            headers = "{ Authorization: 'Bearer ' + party.token }"
            await user.do(f"fetch('{path}', {{ method: 'DELETE', headers: {headers} }}).then(({{ status }}) => status)")
        await asyncio.gather(user.hears(), otomo.hears())
        assert await user.do("call.state") == "talking"
