"""Which processes a load test may kill: those that the server names and that are its own, and nobody else's."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from urllib.parse import urlsplit

import pytest

from tests.conftest import free_ports
from voiceplane.client.api import Api
from voiceplane.loadtest.errors import LoadTestError
from voiceplane.loadtest.killer import Killer
from voiceplane.loadtest.node_killer import NodeKiller
from voiceplane.loadtest.nodes import Nodes


def unsaid(_line: str) -> None:
    pass


def admin(server, http) -> Api:
    return Api(http, server.base, server.token("root", "admin"))


async def found(server, http, port: int | None = None) -> Nodes:
    nodes = Nodes(admin(server, http), port or urlsplit(server.base).port)
    await nodes.find()
    return nodes


async def test_the_servers_own_workers_may_be_killed(server, http):
    nodes = await found(server, http)
    assert [one.pid for one in nodes.up] == [os.getpid()]
    assert await Killer(admin(server, http), nodes, 1.0, [], unsaid).targets() == [server.pool.slots[0].worker.pid]


async def test_workers_of_another_process_may_not(server, http):
    listen = "import socket, sys; one = socket.create_server(('127.0.0.1', 0)); print(one.getsockname()[1]); input()"
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-u", "-c", listen, stdin=PIPE, stdout=PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        nodes = await found(server, http, int(await other.stdout.readline()))
        assert [one.pid for one in nodes.up] == [other.pid]
        assert await Killer(admin(server, http), nodes, 1.0, [], unsaid).targets() == []
    finally:
        other.kill()
        await other.communicate()


async def test_a_server_that_does_not_say_whose_they_are_is_left_alone(server, http):
    stranger = Api(http, server.base, server.token("alice", "user"))
    with pytest.raises(LoadTestError, match="403 FORBIDDEN"):
        await Killer(stranger, await found(server, http), 1.0, [], unsaid).targets()
    with pytest.raises(LoadTestError, match="not ours to look into"):
        await Killer(admin(server, http), await found(server, http, free_ports(1)), 1.0, [], unsaid).targets()


async def test_a_node_that_is_alone_is_not_killed(server, http):
    with pytest.raises(LoadTestError, match="and it takes two"):
        await NodeKiller(await found(server, http), 1.0, [], unsaid, None).targets()
