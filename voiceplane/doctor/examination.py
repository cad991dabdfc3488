"""All checks, at once, each with a time limit: a part that hangs is a finding, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.settings import Settings
from voiceplane.doctor import clips, clock, cluster, hearing, keys, machine, media, network, pages, storage, turn
from voiceplane.doctor.finding import Finding, fail

TIMEOUT_S = 15.0

Check = Callable[[Settings], Awaitable[Finding]]

CHECKS: dict[str, Check] = {
    "worker": media.worker,
    "media ports": media.ports,
    "media address": network.media_address,
    "http address": network.http_address,
    "turn": turn.turn,
    "tokens": keys.tokens,
    "secret files": keys.files,
    "database": storage.database,
    "disk": storage.disk,
    cluster.SESSIONS: cluster.sessions,
    cluster.ADDRESS: cluster.address,
    cluster.PEERS: cluster.peers,
    cluster.CLOCKS: cluster.clocks,
    "clock": clock.clock,
    "descriptors": machine.descriptors,
    "socket buffers": machine.buffers,
    "memory": machine.memory,
    "cores": machine.cores,
    "clips": clips.clips,
    "pages": pages.pages,
    "demo": pages.demo,
    hearing.CHECK: hearing.hearing,
}


async def examine(settings: Settings) -> list[Finding]:
    """One finding per check, in the order of ``CHECKS``."""
    return await asyncio.gather(*(examined(name, check(settings)) for name, check in CHECKS.items()))


async def examined(name: str, finding: Awaitable[Finding]) -> Finding:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await finding
    except TimeoutError:
        return fail(name, f"nothing was found out within {TIMEOUT_S:.0f} s", "see what holds it up, and ask again")
