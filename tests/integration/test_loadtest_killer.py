"""Which processes a load test may kill: those that the server names and that are its own, and nobody else's."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import pytest

from voiceplane.client.api import Api
from voiceplane.loadtest.errors import LoadTestError
from voiceplane.loadtest.killer import Killer
from voiceplane.loadtest.node import Node


def unsaid(_line: str) -> None:
    pass


def admin(server, http) -> Api:
    return Api(http, server.base, server.token("root", "admin"))


async def test_the_servers_own_workers_may_be_killed(server, http):
    node = Node.listening_on(urlsplit(server.base).port)
    assert node.pid == os.getpid()
    assert await Killer(admin(server, http), node, 1.0, [], unsaid).targets() == [server.pool.slots[0].worker.pid]


async def test_workers_of_another_process_may_not(server, http):
    assert await Killer(admin(server, http), Node(os.getppid()), 1.0, [], unsaid).targets() == []


async def test_a_server_that_does_not_say_whose_they_are_is_left_alone(server, http):
    stranger = Api(http, server.base, server.token("alice", "user"))
    with pytest.raises(LoadTestError, match="403 FORBIDDEN"):
        await Killer(stranger, Node(os.getpid()), 1.0, [], unsaid).targets()
    with pytest.raises(LoadTestError, match="not ours to look into"):
        await Killer(admin(server, http), Node(None), 1.0, [], unsaid).targets()
