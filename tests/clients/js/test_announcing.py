"""What the node plays, in Chromium and Firefox: pages that know nothing of it play it."""

from __future__ import annotations

import pytest

from tests.clients.js.parties import Stage, talk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
async def test_a_page_plays_announcements_and_music_and_shows_the_other_as_muted_on_hold(stage: Stage, browser: str):
    async with stage.people(getattr(stage, browser), stage.chromium) as (user, otomo):
        call_id = await talk(user, otomo)
        await otomo.do("call.mute()")
        await user.until("call.isRemoteMuted && call.remoteLevel === 0")
        await stage.ask("POST", f"/admin/calls/{call_id}/announce", {"clip": "hold", "to": "user"})
        await user.hears()
        assert await user.do("[call.isRemoteMuted, call.remoteLevel]") == [True, 0]
        assert await user.do("call.remoteStream.getTracks().length") == 2
        await user.until("call.remoteStream.getTracks().length === 1")
        await otomo.do("call.mute(false)")
        await user.until("!call.isRemoteMuted && call.remoteLevel > 0")

        await stage.ask("POST", f"/admin/calls/{call_id}/hold", {"music": "hold"})
        for person in (user, otomo):
            await person.until("call.isRemoteMuted && call.remoteLevel === 0")
            await person.hears()
            assert await person.do("call.isMuted") is False
        await stage.ask("POST", f"/admin/calls/{call_id}/resume")
        for person in (user, otomo):
            await person.until("!call.isRemoteMuted && call.remoteLevel > 0")
            await person.until("call.remoteStream.getTracks().length === 1")
            assert await person.do("party.payloads('error')") == []
            assert await person.do("call.state") == "talking"
        await user.do("call.hangUp()")
        await otomo.is_in("ended")
