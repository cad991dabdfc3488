"""``deploy/voiceplane.service``, read, and what of its sandbox can be had without systemd as the first process.

``python -m tests.shipping.unit COMMAND...`` becomes the command under the unit's system calls, address families and
memory rules, by the same means as systemd: one seccomp filter for each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

UNIT = Path(__file__).parents[2] / "deploy" / "voiceplane.service"
LAST_FAMILY = 45  # AF_MCTP, of Linux 6.1
WRITE, EXECUTE = 2, 4  # PROT_WRITE, PROT_EXEC


def settings() -> dict[str, list[str]]:
    """Each setting of ``[Service]``, with all values that it is given."""
    found = defaultdict(list)
    _, _, service = UNIT.read_text().partition("[Service]\n")
    for line in service.partition("[Install]")[0].splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


def system_calls() -> set[str]:
    """What ``SystemCallFilter`` leaves: lines that begin with ~ take away (systemd.exec(5))."""
    left: set[str] = set()
    for line in settings()["SystemCallFilter"]:
        named = {call for name in line.removeprefix("~").split() for call in members(name)}
        left = left - named if line.startswith("~") else left | named
    return left


def members(name: str) -> Iterator[str]:
    """The calls of a set, with those of the sets in it."""
    if not name.startswith("@"):
        yield name
        return
    listed = subprocess.run(["systemd-analyze", "syscall-filter", name], capture_output=True, text=True, check=True)
    for line in listed.stdout.splitlines()[1:]:
        if (one := line.strip()) and not one.startswith("#"):
            yield from members(one)


def enter() -> None:
    """Put this process, and all that it becomes and starts, under the unit's rules."""
    import pyseccomp as seccomp

    refuse = seccomp.ERRNO(1)  # EPERM
    families = {int(getattr(__import__("socket"), name)) for name in settings()["RestrictAddressFamilies"][0].split()}
    only_families = seccomp.SyscallFilter(seccomp.ALLOW)
    for family in set(range(LAST_FAMILY + 1)) - families:
        only_families.add_rule(refuse, "socket", seccomp.Arg(0, seccomp.EQ, family))
    only_families.add_rule(refuse, "socket", seccomp.Arg(0, seccomp.GT, LAST_FAMILY))

    no_code_made = seccomp.SyscallFilter(seccomp.ALLOW)
    both = WRITE | EXECUTE
    no_code_made.add_rule(refuse, "mmap", seccomp.Arg(2, seccomp.MASKED_EQ, both, both))
    for call in ("mprotect", "pkey_mprotect"):
        no_code_made.add_rule(refuse, call, seccomp.Arg(2, seccomp.MASKED_EQ, EXECUTE, EXECUTE))

    only_calls = seccomp.SyscallFilter(refuse)
    for call in sorted(system_calls()):
        if seccomp.resolve_syscall(seccomp.system_arch(), call) >= 0:  # others are of other architectures
            only_calls.add_rule(seccomp.ALLOW, call)
    for rules in (only_families, no_code_made, only_calls):  # the last one forbids to load another
        rules.load()


if __name__ == "__main__":
    enter()
    os.execvp(sys.argv[1], sys.argv[1:])
