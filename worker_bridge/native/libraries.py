"""Which libraries are linked into a worker: a security fix of one of them reaches it by a new build alone.

OpenSSL's release stands in the binary. Debian mends a release without giving it another number, so a build also notes
the packages that it took the libraries from.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native import tools

PACKAGES: Final = ("libssl-dev", "libuv1-dev", "libabsl-dev", "libflatbuffers-dev")
_OPENSSL: Final = re.compile(rb"OpenSSL (\d+\.\d+\.\d+\S*) +\d{1,2} [A-Z][a-z]{2} \d{4}\0")


def openssl_version(binary: Path) -> str | None:
    """The release that is linked in, ``3.0.19`` say; None where there is none, as with a shared library."""
    found = _OPENSSL.search(binary.read_bytes())
    return found[1].decode("ascii") if found else None


def installed_packages(folder: Path) -> dict[str, str]:
    """What Debian's packages of the libraries are now, by name; nothing on other systems. ``folder``: any."""
    query = ["dpkg-query", "--show", "--showformat=${Package} ${Version}\\n", *PACKAGES]
    try:
        said = tools.run("asking dpkg for its packages", query, folder=folder)
    except NativeError:  # no Debian, or the libraries are not from its packages
        return {}
    return dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
