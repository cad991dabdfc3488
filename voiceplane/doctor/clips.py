"""The clips of announcements: can each of them be played?"""

from __future__ import annotations

from app.announcing.clips import Clips
from app.errors import ClipNotFound
from app.settings import Settings
from voiceplane.doctor.finding import Finding, ok, warn


async def clips(settings: Settings) -> Finding:
    found = Clips(settings.clips_dir)
    listed = await found.list()
    bad = [f"{one.path} {one.problem}" for one in listed if one.problem is not None]
    name = settings.low_balance_clip
    if name is not None and not any(one.name == name for one in listed):
        try:
            await found.get(name)
        except ClipNotFound as error:
            bad.append(f"VOICEPLANE_LOW_BALANCE_CLIP can't be played: {error}")
    if bad:
        return warn("clips", "; ".join(bad), "make them as docs/announcing.md says")
    own = sum(one.own for one in listed)
    where = f", and {len(listed) - own} in {settings.clips_dir}" if settings.clips_dir is not None else ""
    return ok("clips", f"{own} that come with the node{where}")
