"""Kills the server's nodes, one at a time, to see what becomes of their calls, and has each started again.

A process is killed only if the cluster names it in `GET /admin/nodes` as one that lives, and it listens at that node's
address on this machine's loopback. The last one that lives is left alone.
"""

from __future__ import annotations

import asyncio
import os
import random
import shlex
import signal
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Callable
from contextlib import suppress

from voiceplane.client.errors import ClientError
from voiceplane.loadtest.errors import LoadTestError
from voiceplane.loadtest.moves import Kill
from voiceplane.loadtest.nodes import NodeProcess, Nodes

FEWEST = 2  # one dies, and another has its calls
STARTS_WITHIN_S = 60.0
NAME = "{name}"


class NodeKiller:
    """`kills` grows by one with each. `start_with` is a command that starts the node `{name}` again and returns;
    without it, somebody else does."""

    def __init__(
        self, nodes: Nodes, every_s: float, kills: list[Kill], say: Callable[[str], None], start_with: str | None
    ) -> None:
        self.kills = kills
        self._nodes = nodes
        self._every_s = every_s
        self._say = say
        self._start_with = start_with

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                targets = await self.targets()
            except LoadTestError as error:
                self._say(str(error))
                continue
            [one] = random.sample(targets, 1)
            self.kills.append(Kill(asyncio.get_running_loop().time(), time.time_ns(), "node"))
            with suppress(ProcessLookupError):
                os.kill(one.pid, signal.SIGKILL)
            self._say(f"killed node {one.name} ({one.pid})")
            if self._start_with is not None:
                await self._start_again(one.name, self._start_with)

    async def targets(self) -> tuple[NodeProcess, ...]:
        """The nodes of which it may kill one. Raises LoadTestError where there are not enough."""
        try:
            await self._nodes.find()
        except ClientError as error:
            raise LoadTestError(f"no node is killed: the server does not name its nodes ({error})") from error
        if len(self._nodes.up) < FEWEST:
            named = ", ".join(one.name for one in self._nodes.up) or "none"
            raise LoadTestError(
                f"no node is killed: of those that live and whose processes are here there is {named}, and it takes two"
            )
        return self._nodes.up

    async def _start_again(self, name: str, command: str) -> None:
        words = [word.replace(NAME, name) for word in shlex.split(command)]
        try:
            process = await asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)
        except OSError as error:
            self._say(f"node {name} is not started again: {words[0]}: {error.strerror}")
            return
        try:
            async with asyncio.timeout(STARTS_WITHIN_S):
                code = await process.wait()
        except TimeoutError:
            self._say(f"the command that starts node {name} has not returned within {STARTS_WITHIN_S:.0f} s")
        else:
            self._say(
                f"node {name} is started again" if code == 0 else f"node {name} is not started again: exit {code}"
            )
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
