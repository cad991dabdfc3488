"""The processes of all nodes of a server on this machine: one that is alone, or a cluster behind a balancer.

Which nodes there are is asked of the server (`GET /admin/nodes`), again and again: one that is started again is another
process. A node's process is the one that listens where the other nodes reach it, which is looked for once: it takes a
look at every open file of the machine.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple
from urllib.parse import urlsplit

from schemas.node import NodeLine
from schemas.node import Nodes as Listed
from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError
from voiceplane.client.events import read
from voiceplane.loadtest import processes
from voiceplane.loadtest.errors import NotLocal
from voiceplane.loadtest.node import Cost, Node
from voiceplane.loadtest.options import loopback_address

FIND_EVERY_S = 1.0
UP = "up"


class NodeProcess(NamedTuple):
    """A node that lives, and its process on this machine."""

    name: str
    pid: int


class Nodes:
    """``port`` is the server's: a node that is alone listens there. Knows none before :meth:`find`."""

    def __init__(self, admin: Api, port: int) -> None:
        self._admin = admin
        self._port = port
        self._pids: dict[str, int] = {}  # by node id, which no other process ever has
        self._by_pid: dict[int, Node] = {}  # those that have ended stay, with what they have cost
        self.alone = True
        self.up: tuple[NodeProcess, ...] = ()

    async def find(self) -> None:
        """See which nodes live. Raises ClientError where the server does not say."""
        listed = read(Listed, await self._admin.request("GET", "/admin/nodes"), "GET /admin/nodes").nodes
        self.alone = all(one.address is None for one in listed)
        found = [(one.name, self._process_of(one)) for one in listed if self.alone or one.state == UP]
        self.up = tuple(NodeProcess(name, pid) for name, pid in found if pid is not None)
        for one in self.up:
            self._by_pid.setdefault(one.pid, Node(one.pid))

    async def follow(self) -> None:
        """Find those that are started again, until cancelled."""
        while not self.alone:
            await asyncio.sleep(FIND_EVERY_S)
            try:
                await self.find()
            except ClientError:  # the node that was asked has just died: the next one says it
                continue

    @property
    def known(self) -> bool:
        """Whether there are processes that we may look into."""
        return bool(self.up)

    def workers(self) -> list[int]:
        """The native workers that run now."""
        return [pid for node in self._by_pid.values() for pid in node.workers()]

    def cost(self) -> Cost:
        """Of all of them together, those that have ended included."""
        workers = {node: node.workers() for node in self._by_pid.values()}
        drops = processes.udp_drops(pid for pids in workers.values() for pid in pids)
        costs = [node.cost(pids, drops) for node, pids in workers.items()]
        return Cost(*(sum(getattr(one, name) for one in costs) for name in Cost.__slots__))

    def _process_of(self, listed: NodeLine) -> int | None:
        """None where it has ended, or is not ours to look into."""
        if listed.node_id not in self._pids and (listener := self._listener_of(listed)) is not None:
            self._pids[listed.node_id] = listener
        pid = self._pids.get(listed.node_id)
        return pid if pid is not None and processes.is_running(pid) else None

    def _listener_of(self, listed: NodeLine) -> int | None:
        if listed.address is None:
            return processes.listener(self._port)
        address = urlsplit(listed.address)
        try:
            host = loopback_address(address.hostname or "", f"node {listed.name}")
        except NotLocal:
            return None
        return processes.listener(address.port or 80, host)
