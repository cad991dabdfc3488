"""Where webhooks may go: public addresses, whatever form others hide in, and whatever a name server says next."""

from __future__ import annotations

import socket

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from app.webhooks.targets import AddressRefused, Resolver, is_public
from tests.app.webhooks.receiver import receiving

PRIVATE = [
    *("127.0.0.1", "127.255.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254"),
    *("192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::127.0.0.1", "64:ff9b::a00:1"),
]


class Names(AbstractResolver):
    """A name server that gives one answer after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            ResolveResult(hostname=host, host=one, port=port, family=socket.AF_INET, proto=0, flags=0) for one in found
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public(address: str):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_a_public_address(address: str):
    assert is_public(address)


@pytest.mark.parametrize("host", [*PRIVATE[:8], "[::1]", "[::ffff:127.0.0.1]"])
async def test_an_address_in_the_url_is_looked_at(host: str):
    with pytest.raises(AddressRefused):
        await Resolver(allow_private=False).check_url(f"http://{host}:8080/hook")


@pytest.mark.parametrize("host", ["localhost", "127.1", "2130706433", "0x7f.1"])
async def test_names_and_odd_spellings_of_loopback_are_resolved_and_refused(host: str):
    with pytest.raises(AddressRefused):
        await Resolver(allow_private=False).check_url(f"http://{host}/")


async def test_one_private_address_among_public_ones_refuses_the_name():
    resolver = Resolver(allow_private=False, names=Names(["8.8.8.8", "10.0.0.1"]))
    with pytest.raises(AddressRefused):
        await resolver.check_url("https://backend.example/")


async def test_where_private_addresses_are_allowed_they_are():
    await Resolver(allow_private=True).check_url("http://127.0.0.1:8080/")
    await Resolver(allow_private=True).check_url("http://localhost/")


async def test_a_name_that_leads_elsewhere_the_next_time_gains_nothing():
    """The check at the registration sees a public address; the connection asks once, and gets the private one."""
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    resolver = Resolver(allow_private=False, names=names)
    async with receiving() as receiver:
        port = receiver.base.rpartition(":")[2]
        await resolver.check_url(f"http://backend.example:{port}/hook")
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
        async with aiohttp.ClientSession(connector=connector) as http:
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.post(f"http://backend.example:{port}/hook")
        assert names.asked == 2
        assert receiver.got == []


async def test_a_connection_goes_to_the_address_that_was_looked_at():
    """One question for one connection: a second answer would be private, and is never asked for."""
    async with receiving() as receiver:
        names = Names(["127.0.0.1"], ["10.255.255.1"])
        connector = aiohttp.TCPConnector(resolver=Resolver(allow_private=True, names=names), use_dns_cache=False)
        async with aiohttp.ClientSession(connector=connector) as http:
            url = f"http://backend.example:{receiver.base.rpartition(':')[2]}/hook"
            async with http.post(url) as response:
                assert response.status == 204
        assert names.asked == 1
