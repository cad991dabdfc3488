"""Two machines with a router between them, which can be told to forward nothing: nobody at either end is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.network import Network, network

NODE = "10.99.2.2"
FIRST, SECOND = "10.99.1", "10.99.3"  # the networks in which the near machine may be


@dataclass(frozen=True)
class Way:
    """From the ``near`` machine, which has two networks and is in the first, to the ``far`` one."""

    near: Network
    far: Network
    router: Network

    def cut(self) -> None:
        self._forward(0)

    def mend(self) -> None:
        self._forward(1)

    def move(self) -> None:
        """Another network with another address, as from Wi-Fi to a phone's."""
        self.near.run("ip", "link", "set", "eth1", "up")
        self.near.run("ip", "address", "add", f"{SECOND}.2/24", "dev", "eth1")
        self.near.run("ip", "address", "flush", "dev", "eth0")
        self.near.run("ip", "route", "replace", "default", "via", f"{SECOND}.1")

    def _forward(self, does: int) -> None:
        self.router.run("sh", "-c", f"echo {does} > /proc/sys/net/ipv4/ip_forward")


@contextmanager
def far_apart() -> Iterator[Way]:
    with network() as near, network() as far, network() as router:
        join(router, "wire0", f"{FIRST}.1", near, "eth0")
        join(router, "wire1", f"{SECOND}.1", near, "eth1")
        join(router, "wire2", NODE.replace(".2.2", ".2.1"), far, "eth0")
        for machine, address, gateway in (
            (near, f"{FIRST}.2", f"{FIRST}.1"),
            (far, NODE, NODE.replace(".2.2", ".2.1")),
        ):
            machine.run("ip", "address", "add", f"{address}/24", "dev", "eth0")
            machine.run("ip", "link", "set", "eth0", "up")
            machine.run("ip", "route", "add", "default", "via", gateway)
        way = Way(near, far, router)
        way.mend()
        yield way


def join(router: Network, wire: str, address: str, machine: Network, link: str) -> None:
    router.run("ip", "link", "add", wire, "type", "veth", "peer", "name", link, "netns", machine.pid)
    router.run("ip", "address", "add", f"{address}/24", "dev", wire)
    router.run("ip", "link", "set", wire, "up")
