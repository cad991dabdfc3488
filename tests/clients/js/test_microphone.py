"""The client's microphone: changed, unplugged, silent, refused, and never left open."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.clients.js.parties import Stage, ring, talk

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

SENT = "peers.all.flatMap((peer) => peer.getSenders()).map(({ track }) => track).findLast(Boolean)"
UNPLUG = f"((track) => {{ track.stop(); track.dispatchEvent(new Event('ended')); }})({SENT})"  # as a browser does
MICROPHONES = """navigator.mediaDevices.enumerateDevices().then((all) =>
  all.filter(({ kind }) => kind === 'audioinput').map(({ deviceId }) => deviceId))"""
NONE_LEFT = """(() => {
  const { mediaDevices } = navigator;
  const { getUserMedia } = mediaDevices;
  mediaDevices.getUserMedia = () => Promise.reject(new DOMException('none', 'NotFoundError'));
  party.plugIn = () => {
    mediaDevices.getUserMedia = getUserMedia;
    mediaDevices.dispatchEvent(new Event('devicechange'));
  };
})()"""
FORBIDDEN = """(() => {  // by the policy of a frame, as an embedding page or a person does it
  const frame = document.body.appendChild(document.createElement('iframe'));
  frame.allow = "microphone 'none'";
  frame.srcdoc = '';
  navigator.mediaDevices.getUserMedia = (asked) => frame.contentWindow.navigator.mediaDevices.getUserMedia(asked);
})()"""


async def test_another_microphone_is_taken_in_mid_call_and_the_first_one_closed(stage: Stage):
    async with stage.people() as (user, otomo):
        await talk(user, otomo)
        before = await user.do("left().tracks")
        ids = await user.do(MICROPHONES)
        used = await user.do(f"{SENT}.getSettings().deviceId")
        other = next(one for one in ids if one != used)
        await user.do(f"call.setMicrophone({json.dumps(other)})")
        assert (await user.told("microphone"))["deviceId"] == other
        assert await user.do("left().tracks") == before
        await otomo.hears()
        assert await user.do("party.refusal(() => call.setMicrophone('no such device'))") == "MICROPHONE_MISSING"
        await otomo.hears()


async def test_a_microphone_that_is_unplugged_is_replaced_by_the_next_one(stage: Stage):
    async with stage.people() as (user, otomo):
        await talk(user, otomo)
        await user.do(UNPLUG)
        await user.told("microphone")
        await otomo.hears()
        assert await user.do("left().tracks") == 1


async def test_where_there_is_no_other_microphone_the_call_waits_for_one_in_silence(stage: Stage):
    async with stage.people() as (user, otomo):
        await user.tab.click("body")  # the browser's audio engine, which makes the silence, wants to be touched
        await talk(user, otomo)
        await user.do(NONE_LEFT)
        await user.do(UNPLUG)
        assert await user.told("silentmicrophone") == {"silent": True, "cause": "unplugged"}
        packets = (await otomo.do("call.stats()"))["received"]["packets"]
        await otomo.until(f"call.stats().then(({{ received }}) => received.packets > {packets + 2})")
        assert await user.do("call.state") == "talking"
        await user.do("party.plugIn()")
        await user.told("microphone")
        await otomo.hears()
        await user.do("call.hangUp()")
        await user.until("left().tracks === 0 && left().contexts === 0")


async def test_a_microphone_that_gives_only_zeros_is_told_and_a_track_of_the_pages_own_stays_open(stage: Stage):
    async with stage.people() as (user, otomo):
        await user.tab.click("body")
        await user.do(f"party.ring('{otomo.user_id}', {{ microphone: (party.own = party.silence()) }})")
        await otomo.told("incoming")
        await otomo.do("call.accept()")
        assert await user.told("silentmicrophone") == {"silent": True, "cause": "silent"}
        await user.do("call.hangUp()")
        assert await user.do("party.own.readyState") == "live"


async def test_who_may_not_have_a_microphone_rings_nobody(stage: Stage):
    async with stage.people() as (user, otomo):
        page = await stage.browsers.open(stage.chromium, f"{stage.node.base}/admin/")
        token = json.dumps(user.token)
        await page.evaluate(FORBIDDEN)
        asked = f"""import('/client/voiceplane.js').then(({{ Voiceplane }}) => {{
          const vp = new Voiceplane({{ url: location.origin, token: {token} }});
          return vp.call('{otomo.user_id}').catch(({{ code }}) => code).finally(() => vp.disconnect());
        }})"""
        assert await page.evaluate(asked) == "MICROPHONE_DENIED"
        await page.close()
        assert await otomo.do("party.payloads('incoming')") == []


async def test_a_call_that_ends_while_the_browser_asks_leaves_no_microphone(stage: Stage):
    async with stage.people() as (user, otomo):
        await ring(user, otomo)
        slow = "navigator.mediaDevices.getUserMedia"
        await otomo.do(f"((open) => {{ {slow} = (...asked) => party.asks.then(() => open(...asked)); }})({slow})")
        await otomo.do("(party.asks = new Promise((done) => (party.allow = done)), 0)")
        await otomo.do("(party.answer = party.refusal(() => call.accept()), 0)")
        await user.do("call.hangUp()")
        await otomo.is_in("ended")
        await otomo.do("party.allow()")
        assert await otomo.do("party.answer") == "CALL_ENDED"
        await otomo.until("left().tracks === 0")


async def test_sound_that_the_browser_holds_back_is_told_and_played_at_the_next_touch(stage: Stage):
    async with stage.people() as (user, otomo):
        await user.do("""(() => {
          const { play } = HTMLMediaElement.prototype;
          HTMLMediaElement.prototype.play = function () {
            if (party.touched) return play.call(this);
            return Promise.reject(new DOMException('touch me', 'NotAllowedError'));
          };
        })()""")
        await ring(user, otomo)
        await otomo.do("call.accept()")
        assert await user.told("playback") == {"blocked": True}
        assert await user.do("call.isPlaybackBlocked") is True
        await user.do("party.touched = true")
        await user.tab.click("body")
        assert await user.told("playback", 2) == {"blocked": False}
        await asyncio.gather(user.hears(), otomo.hears())
