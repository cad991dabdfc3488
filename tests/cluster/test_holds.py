"""A call is put on hold by whichever node is asked, and stays so when its node is drained or dies."""

from __future__ import annotations

import signal
from pathlib import Path

import aiohttp
import pytest

from tests.app.announcing.test_clip import opus_file
from tests.app.streaming.sound import spoken
from tests.cluster.member import Members
from tests.cluster.talk import ears, talking
from tests.integration.callers import End
from tests.integration.listeners import ADMIN_HZ as CLIP_HZ
from tests.integration.listeners import tone_is_heard, tone_is_not_heard

USER_HZ, OTOMO_HZ = 440.0, 880.0
RTP_HEADER = 12  # bytes

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("how", ["drained", "killed"])
async def test_a_call_on_hold_stays_so_on_another_node(
    member: Members, http: aiohttp.ClientSession, tmp_path: Path, how: str
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    (clips / "tone.opus").write_bytes(opus_file(*(one[RTP_HEADER:] for one in spoken(8.0, CLIP_HZ))))
    async with member.pair(clips_dir=clips) as (one, two):
        root = two.api(http, "root", "admin")  # the call lives on the other one
        async with talking(one, two, paid=False) as talk, ears(talk.user, talk.otomo) as (user, otomo):
            await tone_is_heard(user, OTOMO_HZ)
            held = await root.request("POST", f"/admin/calls/{talk.call_id}/hold", {"music": "tone"})
            await only_music_is_heard(user, otomo)
            if how == "drained":
                await one.api(http, "root", "admin").request("POST", "/admin/drain", {"mode": "move"})
            else:
                one.send_signal(signal.SIGKILL)
            await talk.goes_on(2)
            assert await root.request("GET", f"/admin/calls/{talk.call_id}/hold") == held
            await only_music_is_heard(user, otomo)
            await root.request("POST", f"/admin/calls/{talk.call_id}/resume")
            await tone_is_heard(user, OTOMO_HZ)
            await tone_is_heard(otomo, USER_HZ)
            await tone_is_not_heard(user, CLIP_HZ)
            await talk.user.hang_up()


async def only_music_is_heard(user: End, otomo: End) -> None:
    for end, other_hz in ((user, OTOMO_HZ), (otomo, USER_HZ)):
        await tone_is_heard(end, CLIP_HZ)
        await tone_is_not_heard(end, other_hz)
