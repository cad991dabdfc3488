"""Where webhooks may go: to public addresses alone, unless the settings allow others.

A name is resolved once for each connection, and the connection goes to the addresses of that answer: a name server that
answers differently the next time gains nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from ipaddress import IPv4Address, IPv6Address

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from yarl import URL

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


class AddressRefused(OSError):
    """The host has an address that is not public."""


def is_public(address: str) -> bool:
    """Whether it is an address of the public internet (IANA's registries of special-purpose addresses), and leads to no
    other one that is not."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return is_public(str(ip.ipv4_mapped))
        if ip in NAT64:
            return is_public(str(IPv4Address(int(ip) & 0xFFFFFFFF)))
        inner = ip.sixtofour or (ip.teredo and ip.teredo[1])
        if inner and not is_public(str(inner)):
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


class Resolver(AbstractResolver):
    """aiohttp's resolver, whose answers are refused where one of the addresses is not public."""

    def __init__(self, *, allow_private: bool, names: AbstractResolver | None = None) -> None:
        self._allow_private = allow_private
        self._names = names or DefaultResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Raises OSError where the host has no address, AddressRefused where it has one that is not public."""
        found = await self._names.resolve(host, port, family)
        for one in found:
            self.check(one["host"])
        return found

    def check(self, address: str) -> None:
        """Raises AddressRefused."""
        if not (self._allow_private or is_public(address)):
            raise AddressRefused(errno.EACCES, "the host has an address that is not public")

    async def check_url(self, url: str) -> None:
        """Raises OSError, AddressRefused."""
        parsed = URL(url)
        if self.check_literal(parsed):
            return
        await self.resolve(parsed.raw_host or "", parsed.port or 0, socket.AF_UNSPEC)

    def check_literal(self, url: URL) -> bool:
        """Whether the host is an address, which nobody resolves. Raises AddressRefused."""
        try:
            ipaddress.ip_address((url.raw_host or "").partition("%")[0])
        except ValueError:
            return False
        self.check(url.raw_host or "")
        return True

    async def close(self) -> None:
        await self._names.close()
