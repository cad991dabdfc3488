"""Where media listens: which addresses can't be, in one sentence each, and how a machine's own are found."""

from __future__ import annotations

import socket
import sys

import pytest

from app.addresses import LOOPBACK, ROOT_SERVER, fault, fault_of_origins, own_addresses, source_address
from tests.network import network


@pytest.mark.parametrize(
    ("listen", "announced"),
    [
        ((), ()),
        (("127.0.0.1",), ()),
        (("0.0.0.0", "::"), ("203.0.113.7", "2001:db8::7")),
        (("0.0.0.0", "::1", "2001:db8::5"), ("voice.example",)),
        (("10.0.0.5", "10.0.1.5"), ("", "203.0.113.7")),
        (("::",), ("203.0.113.7",)),  # takes both families
        (("169.254.1.2",), ()),
        (("fd00::2",), ("node_1.example.",)),
    ],
)
def test_addresses_that_can_be(listen: tuple[str, ...], announced: tuple[str, ...]) -> None:
    assert fault(listen, announced) is None


@pytest.mark.parametrize(
    ("listen", "announced", "says"),
    [
        (("localhost",), (), "must be IP addresses with commas between, not 'localhost'"),
        (("127.0.0.1 ::1",), (), "must be IP addresses with commas between"),
        (("0.0.0.0",), (), "RTC_LISTEN_IP 0.0.0.0 needs VOICEPLANE_RTC_ANNOUNCED_ADDRESS"),
        (("0.0.0.0", "::"), ("203.0.113.7",), "RTC_LISTEN_IP :: needs VOICEPLANE_RTC_ANNOUNCED_ADDRESS"),
        (("::", "0.0.0.0"), ("", "203.0.113.7"), "RTC_LISTEN_IP :: needs VOICEPLANE_RTC_ANNOUNCED_ADDRESS"),
        ((), ("203.0.113.7",), "RTC_ANNOUNCED_ADDRESS needs VOICEPLANE_RTC_LISTEN_IP"),
        (("127.0.0.1",), ("203.0.113.7", "203.0.113.8"), "has 2 addresses for 1 of"),
        (("::1", "127.0.0.1", "0:0:0:0:0:0:0:1"), (), "has ::1 twice"),
        (("10.0.0.5", "0.0.0.0"), ("", "203.0.113.7"), "has 0.0.0.0, which listens on 10.0.0.5 as well"),
        (("::", "::1"), ("2001:db8::7",), "has ::, which listens on ::1 as well"),
        (("224.0.0.1",), (), "multicast"),
        (("fe80::1",), (), "of one link alone"),
        (("fe80::1%eth0",), (), "of one link alone"),
        (("::ffff:10.0.0.5",), (), "must have 10.0.0.5 in the place of ::ffff:"),
        (
            ("10.0.0.5",),
            ("2001:db8::7",),
            "2001:db8::7 is IPv6, and VOICEPLANE_RTC_LISTEN_IP 10.0.0.5, its pair, is IPv4",
        ),
        (("0.0.0.0", "::"), ("203.0.113.7", "203.0.113.8"), "203.0.113.8 is IPv4, and VOICEPLANE_RTC_LISTEN_IP ::"),
        (("0.0.0.0",), ("0.0.0.0",), "must be addresses that clients can reach, not 0.0.0.0"),
        (("0.0.0.0",), ("203.0.113.7:40000",), "must be IP addresses or host names, not '203.0.113.7:40000'"),
        (("0.0.0.0",), ("https://voice.example",), "must be IP addresses or host names"),
        (tuple(f"10.0.0.{number}" for number in range(17)), (), "must have 16 addresses or fewer, not 17"),
    ],
)
def test_addresses_that_can_not_be_are_told_in_one_sentence(
    listen: tuple[str, ...], announced: tuple[str, ...], says: str
) -> None:
    sentence = fault(listen, announced)
    assert sentence is not None
    assert says in sentence
    assert sentence.startswith("VOICEPLANE_RTC_")
    assert sentence.endswith(".")


def test_a_machines_own_addresses_can_be_listened_on() -> None:
    found = own_addresses()
    assert found[0] == LOOPBACK
    for address in found:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as listening:
            listening.bind((address, 0))


@pytest.mark.parametrize(
    ("addresses", "found"),
    [
        ((), ["127.0.0.1"]),
        (("10.1.2.3/24",), ["127.0.0.1", "10.1.2.3"]),
        (("10.1.2.3/24", "2001:db8::7/64"), ["127.0.0.1", "10.1.2.3", "2001:db8::7"]),
        (("fd00:1::7/64",), ["127.0.0.1", "fd00:1::7"]),
        (("fe80::7/64",), ["127.0.0.1"]),  # of one link alone
    ],
)
def test_they_are_loopback_and_those_of_the_default_routes(addresses: tuple[str, ...], found: list[str]) -> None:
    with network(*addresses) as machine:
        script = "from app.addresses import own_addresses; print(*own_addresses())"
        assert machine.run(sys.executable, "-c", script).split() == found


def test_nothing_is_sent_to_find_them() -> None:
    with network("10.1.2.3/24", "2001:db8::7/64") as machine:
        script = (
            "from app.addresses import own_addresses as own; from pathlib import Path; n = Path('/proc/net/snmp'); "
            "b = n.read_text(); own(); print(b == n.read_text())"
        )
        assert machine.run(sys.executable, "-c", script) == "True\n"


def test_a_family_without_a_route_gives_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ROOT_SERVER, socket.AF_INET6, "ff02::1%lo-that-is-not")
    assert source_address(socket.AF_INET6) is None


@pytest.mark.parametrize(
    "origins",
    [
        (),
        ("*",),
        ("https://www.example.com", "http://localhost:3000", "http://[::1]:8080", "capacitor://localhost"),
        ("https://xn--bcher-kva.example:8443",),
    ],
)
def test_origins_that_can_be(origins: tuple[str, ...]) -> None:
    assert fault_of_origins(origins) is None


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "www.example.com",
        "https://www.example.com/",
        "https://WWW.example.com",
        "https://b\u00fccher.example",
        "https://www.example.com:443",
        "http://www.example.com:80",
        "https://*.example.com",
        "https://ann@www.example.com",
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    assert "as browsers send them" in str(fault_of_origins((origin,)))


def test_a_star_beside_origins_is_refused() -> None:
    assert "must be * alone" in str(fault_of_origins(("https://www.example.com", "*")))
