"""A network of a test's own: a namespace in which there is no other machine, with the addresses that the test wants.

It goes with the processes in it, and with us: nothing of it is in the file system, and the machine's own stays as is.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HOLD = "echo; exec setpriv --pdeathsig KILL sleep infinity"


class Network:
    """What runs by ``inside`` sees loopback, and `eth0` with the addresses. Nobody is at the other end of its wire."""

    def __init__(self, pid: int) -> None:
        self._pid = pid

    def inside(self, *command: object) -> list[str]:
        """The command line that runs ``command`` there."""
        return ["nsenter", f"--net=/proc/{self._pid}/ns/net", "--", *map(str, command)]

    def run(self, *command: object) -> str:
        return subprocess.run(self.inside(*command), check=True, capture_output=True, text=True).stdout

    @property
    def pid(self) -> int:
        """Of the process by which it is held, for what `ip link` calls a `netns`."""
        return self._pid

    def plug_in(self, addresses: tuple[str, ...]) -> None:
        self.run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "wire")
        for link in ("wire", "eth0"):
            self.run("ip", "link", "set", link, "up")
        for address in addresses:
            self.run("ip", "address", "add", address, "dev", "eth0", *(("nodad",) if ":" in address else ()))
            self.run("ip", "-6" if ":" in address else "-4", "route", "add", "default", "dev", "eth0")


@contextmanager
def network(*addresses: str) -> Iterator[Network]:
    """With ``addresses`` as in `10.1.2.3/24`, of which each is that of a default route; without any, loopback alone."""
    if os.geteuid() != 0:
        pytest.skip("only root may make a network namespace")
    with subprocess.Popen(["unshare", "--net", "sh", "-c", HOLD], stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            holder.stdout.readline()  # it is in its namespace now
            made = Network(holder.pid)
            made.run("ip", "link", "set", "lo", "up")
            if addresses:
                made.plug_in(addresses)
            yield made
        finally:
            holder.kill()
