"""Addresses that settings name. Those of media: where it listens, what clients are told instead, which pairs can't
work, and the machine's own. And the origins of pages.

Knows nothing of media's ports and protocols, which are the same for all of them.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

LISTEN: Final = "VOICEPLANE_RTC_LISTEN_IP"
ANNOUNCED: Final = "VOICEPLANE_RTC_ANNOUNCED_ADDRESS"
MOST_ADDRESSES: Final = 16  # each costs a worker two sockets, and each client two candidates to try
LOOPBACK: Final = "127.0.0.1"
ROOT_SERVER: Final = {
    socket.AF_INET: "198.41.0.4",
    socket.AF_INET6: "2001:503:ba3e::2:30",
}  # a., in nobody's own network
DISCARD_PORT: Final = 9
# RFC 5014 §5, as Linux numbers it: a socket's own address is to be one that stays, and none that is there for privacy.
IPV6_ADDR_PREFERENCES: Final = 72
IPV6_PREFER_SRC_PUBLIC: Final = 2
LABEL: Final = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST_NAME: Final = re.compile(rf"(?=.{{1,253}}$){LABEL}(\.{LABEL})*\.?")
ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?"
)
DEFAULT_PORTS: Final = {"http": "80", "https": "443"}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class MediaAddress(NamedTuple):
    """``announced``, an address or a host name, is what clients are told instead of ``ip``."""

    ip: str
    announced: str | None = None

    @property
    def reachable(self) -> str:
        return self.announced or self.ip


def ip_address(text: str) -> Address | None:
    """The address that the text spells; None where it spells none, and so may be a host name."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_loopback(host: str) -> bool:
    address = ip_address(host)
    return host == "localhost" if address is None else address.is_loopback


def own_addresses() -> list[str]:
    """Loopback, and the addresses of the default routes: one of IPv4 and one of IPv6, as far as there are any."""
    return [LOOPBACK, *(found for family in ROOT_SERVER if (found := source_address(family)) is not None)]


def source_address(family: socket.AddressFamily) -> str | None:
    """The address from which the default route sends. None without such a route, and for a link-local address.

    Connecting a UDP socket only asks the routing table; it sends nothing.
    """
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        if family == socket.AF_INET6:
            with suppress(OSError):  # a system without that preference chooses by itself
                probe.setsockopt(socket.IPPROTO_IPV6, IPV6_ADDR_PREFERENCES, IPV6_PREFER_SRC_PUBLIC)
        probe.connect((ROOT_SERVER[family], DISCARD_PORT))
        address = ipaddress.ip_address(probe.getsockname()[0].partition("%")[0])
        if not (address.is_loopback or is_of_one_link(address)):
            return str(address)
    return None


def is_of_one_link(address: Address) -> bool:
    """RFC 4291 §2.5.6: means something only together with a network interface, which no candidate names."""
    return address.version == 6 and (address.is_link_local or address.scope_id is not None)


def pairs(listen: Sequence[str], announced: Sequence[str]) -> tuple[MediaAddress, ...]:
    """Pair them by their order. An address without a counterpart is announced itself."""
    told = [*announced, *[""] * (len(listen) - len(announced))]
    return tuple(MediaAddress(ip, name or None) for ip, name in zip(listen, told, strict=True))


def fault(listen: Sequence[str], announced: Sequence[str]) -> str | None:
    """One sentence about the first thing that is wrong with the two settings, or None."""
    if announced and not listen:
        return f"{ANNOUNCED} needs {LISTEN}: they are pairs, by order."
    if len(announced) > len(listen):
        return f"{ANNOUNCED} has {len(announced)} addresses for {len(listen)} of {LISTEN}: they are pairs, by order."
    if len(listen) > MOST_ADDRESSES:
        return f"{LISTEN} must have {MOST_ADDRESSES} addresses or fewer, not {len(listen)}."
    return next(faults(listen, announced), None)


def faults(listen: Sequence[str], announced: Sequence[str]) -> Iterator[str]:
    addresses = []
    for ip in listen:
        if (address := ip_address(ip)) is None:
            yield f"{LISTEN} must be IP addresses with commas between, not {ip!r}."
            return
        addresses.append(address)
    yield from filter(None, map(unusable, addresses))
    yield from overlaps(addresses)
    any_ipv4 = any(address.version == 4 for address in addresses)
    for address, pair in zip(addresses, pairs(listen, announced), strict=True):
        if problem := mismatch(address, pair.announced, any_ipv4=any_ipv4):
            yield problem


def unusable(address: Address) -> str | None:
    """Why media can't listen on that address, in one sentence; None where it can."""
    if address.is_multicast:
        return f"{LISTEN} must not have {address}, which is multicast."
    if is_of_one_link(address):
        return f"{LISTEN} must not have {address}, which is of one link alone: browsers can't use it."
    if address.version == 6 and address.ipv4_mapped is not None:
        return f"{LISTEN} must have {address.ipv4_mapped} in the place of {address}."
    return None


def overlaps(addresses: Sequence[Address]) -> Iterator[str]:
    """Addresses that would want the same socket."""
    for number, address in enumerate(addresses):
        if address in addresses[:number]:
            yield f"{LISTEN} has {address} twice."
        others = [one for one in addresses if one.version == address.version and one != address]
        if address.is_unspecified and others:
            yield f"{LISTEN} has {address}, which listens on {others[0]} as well: leave one of them away."


def mismatch(address: Address, announced: str | None, *, any_ipv4: bool) -> str | None:
    """Why ``announced`` can't stand for that address, in one sentence; None where it can."""
    if announced is None:
        because = "because clients must be told an address that they can reach"
        return f"{LISTEN} {address} needs {ANNOUNCED}, {because}." if address.is_unspecified else None
    if (told := ip_address(announced)) is None:
        known = HOST_NAME.fullmatch(announced)
        return None if known else f"{ANNOUNCED} must be IP addresses or host names, not {announced!r}."
    if told.is_unspecified or told.is_multicast:
        return f"{ANNOUNCED} must be addresses that clients can reach, not {announced}."
    takes_both = address.is_unspecified and address.version == 6 and not any_ipv4
    if told.version != address.version and not takes_both:
        return f"{ANNOUNCED} {told} is IPv{told.version}, and {LISTEN} {address}, its pair, is IPv{address.version}."
    return None


def fault_of_origins(origins: Sequence[str]) -> str | None:
    """Why a list of pages' origins can't work; None where it can. Origins are compared as browsers write them (RFC 6454
    §6.2): in lower case, in ASCII, without a default port and without a path."""
    if "*" in origins and len(origins) > 1:
        return "must be * alone, or origins without it."
    for origin in origins:
        found = ORIGIN.fullmatch(origin)
        if origin != "*" and (found is None or found["port"] == DEFAULT_PORTS.get(found["scheme"], "")):
            return f"must hold origins as browsers send them, such as https://www.example.com, not {origin!r}."
    return None
