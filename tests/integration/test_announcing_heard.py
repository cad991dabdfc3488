"""What the node plays, as the Python client's users hear it: beside the other party, and in its place on hold."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator

import pytest

from tests.app.announcing.test_clip import opus_file
from tests.app.streaming.sound import spoken
from tests.conftest import Server, serving
from tests.integration.callers import scene
from tests.integration.listeners import ADMIN_HZ as CLIP_HZ
from tests.integration.listeners import tone_is_heard, tone_is_not_heard
from tests.integration.paid_calls import MakeSettings
from voiceplane.testcall import OTOMO_HZ, USER_HZ

RTP_HEADER = 12  # bytes


@pytest.fixture
async def server(settings_with: MakeSettings, tmp_path) -> AsyncIterator[Server]:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "tone.opus").write_bytes(opus_file(*(one[RTP_HEADER:] for one in spoken(8.0, CLIP_HZ))))
    async with serving(settings_with(clips_dir=folder, rate_limit=0, workers=2)) as running:
        yield running


async def test_an_announcement_is_heard_beside_the_other_party_by_whom_it_is_for(server: Server) -> None:
    async with scene(server) as made:
        user, otomo = await made.talk()
        path = f"/admin/calls/{user.call.id}/announce"
        await made.admin.request("POST", path, {"clip": "tone", "to": "otomo"})
        await tone_is_heard(otomo, CLIP_HZ)
        await tone_is_heard(otomo, USER_HZ)
        await tone_is_not_heard(user, CLIP_HZ)
        await tone_is_not_heard(otomo, CLIP_HZ)
        await tone_is_heard(otomo, USER_HZ)


async def test_a_hold_is_kept_over_the_death_of_a_worker_and_its_music_heard(server: Server) -> None:
    async with scene(server) as made:
        user, otomo = await made.talk()
        call_id = user.call.id
        await made.admin.request("POST", f"/admin/calls/{call_id}/hold", {"music": "tone"})
        for end, other_hz in ((user, OTOMO_HZ), (otomo, USER_HZ)):
            await tone_is_heard(end, CLIP_HZ)
            await tone_is_not_heard(end, other_hz)
            assert end.call.is_remote_muted
        call = server.registry.find(call_id)
        assert call is not None
        assert call.room is not None
        worker = server.pool.slots[call.room.worker_index].worker
        assert worker is not None
        os.kill(worker.pid, signal.SIGKILL)
        for end, other_hz in ((user, OTOMO_HZ), (otomo, USER_HZ)):
            await tone_is_heard(end, CLIP_HZ)
            await tone_is_not_heard(end, other_hz)
        assert user.call.media_epoch == otomo.call.media_epoch == 2
        await made.admin.request("POST", f"/admin/calls/{call_id}/resume")
        for end, other_hz in ((user, OTOMO_HZ), (otomo, USER_HZ)):
            await tone_is_heard(end, other_hz)
            await tone_is_not_heard(end, CLIP_HZ)
