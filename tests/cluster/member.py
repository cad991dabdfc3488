"""A node of a cluster as a process of its own, with a name and a folder that it keeps when it is started again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp

from app.settings import Settings
from tests.conftest import eventually, free_ports
from tests.crash.killed_node import NOTHING_MORE, Node, started
from voiceplane.client.api import Api

CLUSTER_SECRET = "known to the nodes of this cluster alone"
UNIT_S = 0.5


class Members:
    """``async with member("a") as node``: a node of this test's cluster, whose database is at ``url``."""

    def __init__(self, url: str, settings_with: Callable[..., Settings], folder: Path) -> None:
        self.url = url
        self._settings_with = settings_with
        self._folder = folder

    @asynccontextmanager
    async def __call__(
        self, name: str, *, environment: Mapping[str, str] = NOTHING_MORE, **changed: object
    ) -> AsyncIterator[Node]:
        async with started(self.settings_of(name, **changed), environment=environment) as node:
            yield node

    @asynccontextmanager
    async def pair(self, **changed: object) -> AsyncIterator[tuple[Node, Node]]:
        """Two nodes, each of which knows of the other."""
        async with (
            self("one", **changed) as one,
            self("two", **changed) as two,
            aiohttp.ClientSession() as http,
        ):
            for node in (one, two):
                await eventually(partial(_knows_too_few, node.api(http, "root", "admin")))
            yield one, two

    def settings_of(self, name: str, **changed: object) -> Settings:
        """What a node of that name is told, with ports that are free now."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        own = {
            "database_url": self.url,
            "data_dir": folder,
            "workers": 1,
            "unit_seconds": UNIT_S,
            "rate_limit": 0,
            "call_attempts_per_pair": 0,
            "drain_timeout_s": 0,
            "log_format": "json",
            "cluster": True,
            "node_name": name,
            "cluster_secret": CLUSTER_SECRET,
        }
        ports = {"port": free_ports(1), "rtc_port": free_ports(1), "cluster_listen": f"127.0.0.1:{free_ports(1)}"}
        return self._settings_with(**{**own, **ports, **changed})


async def _knows_too_few(root: Api) -> str | None:
    names = [node["name"] for node in (await root.request("GET", "/admin/nodes"))["nodes"]]
    return None if len(names) > 1 else f"known are {names}"
