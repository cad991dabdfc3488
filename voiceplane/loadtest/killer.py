"""Kills the server's native workers, one at a time, to see what becomes of calls.

A process is killed only if the server names it in `GET /admin/workers` and it is a child of one of the server's nodes
on this machine.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress

from voiceplane.client.api import Api
from voiceplane.client.errors import Refused
from voiceplane.loadtest.errors import LoadTestError
from voiceplane.loadtest.moves import Kill
from voiceplane.loadtest.nodes import Nodes


class Killer:
    """`kills` grows by one with each."""

    def __init__(self, admin: Api, nodes: Nodes, every_s: float, kills: list[Kill], say: Callable[[str], None]) -> None:
        self.kills = kills
        self._admin = admin
        self._nodes = nodes
        self._every_s = every_s
        self._say = say

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            for pid in (await self.targets())[:1]:
                self.kills.append(Kill(asyncio.get_running_loop().time(), time.time_ns()))
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                self._say(f"killed worker {pid}")

    async def targets(self) -> list[int]:
        """The process ids of the workers that it may kill, sorted.

        Raises LoadTestError where the server does not say which workers it has, or we may not see them.
        """
        try:
            answer = await self._admin.request("GET", "/admin/workers")
        except Refused as error:
            raise LoadTestError(f"workers can't be killed: the server does not name them ({error})") from error
        if not self._nodes.known:
            raise LoadTestError("workers can't be killed: the server's process is not ours to look into")
        named = [worker["pid"] for worker in answer["workers"] if worker.get("pid")]
        return sorted(set(named) & set(self._nodes.workers()))
