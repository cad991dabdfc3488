"""What our child processes get of our environment: what they need, by name, so that none of its secrets is among it.

A server's environment holds the key of its tokens and the address of its database with the password in it. Whatever
breaks out of a worker, which reads packets from anybody, or runs in a build step, finds neither.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

# How the system's loader, allocator and OpenSSL are to run a binary: for a given one that needs libraries of its own,
# and for another allocator or a sanitizer under it.
RUNTIME: Final = ("LD_LIBRARY_PATH", "LD_PRELOAD", "GLIBC_TUNABLES", "OPENSSL_CONF", "TZ")
RUNTIME_FAMILIES: Final = ("MALLOC_", "ASAN_", "UBSAN_", "LSAN_")

# What compilers, apt, npm, pip and our own programs go by: where they are and may write, the way through a proxy and
# whom to trust there, and their own settings. A token in `npm_config_*` or `PIP_*` is theirs, and of no use without.
PROGRAMS: Final = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TERM", "TMPDIR", "TEMP", "TMP"),
    *("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy"),
    *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    *("CC", "CXX", "AR", "CPPFLAGS", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CPATH", "LIBRARY_PATH", "MAKEFLAGS"),
)
PROGRAM_FAMILIES: Final = ("XDG_", "PYTHON", "PIP_", "npm_config_", "NPM_", "NODE_", "PKG_CONFIG", "CCACHE_", "APT_")


def for_worker(version: str) -> dict[str, str]:
    """A worker's: its release, without which it ends at once, and what says how a binary is run here."""
    return _taken(RUNTIME, RUNTIME_FAMILIES) | {"MEDIASOUP_VERSION": version}


def for_program(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """A program's that we start, with ``more`` in front; its messages are in English, and in UTF-8."""
    names, families = (*RUNTIME, *PROGRAMS), (*RUNTIME_FAMILIES, *PROGRAM_FAMILIES)
    return _taken(names, families) | {"LC_ALL": "C.UTF-8"} | dict(more or {})


def _taken(names: tuple[str, ...], families: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name in names or name.startswith(families)}
