"""libsrtp's sources from Debian, for a worker that does SRTP with OpenSSL.

Debian's binary library is linked with NSS, which eats a third of a worker's CPU. Its source package comes by the
ordinary apt client, with apt's own checks of signatures, and without touching the system's set-up: from a scratch
folder that holds a ``deb-src`` copy of the system's source list.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native import tools

TIMEOUT: Final = 120  # seconds for any one apt run
APT: Final = Path("/etc/apt")


def fetch_sources(target: Path, folder: Path) -> None:
    """Unpacks libsrtp 2, with Debian's own patches, as ``target``. ``folder`` is for apt's files.

    Raises ``NativeError`` where this is no Debian, or its archive can't be reached.
    """
    apt = tools.require("apt-get", "this is no Debian")
    dpkg = tools.require("dpkg-source", "install it (apt-get install dpkg-dev)")
    options = _scratch_apt(folder)
    for action in (["update"], ["source", "--download-only", "libsrtp2"]):
        tools.run(f"apt-get {action[0]}", [apt, *options, *action], folder=folder, timeout=TIMEOUT)
    described = sorted(folder.glob("libsrtp2_*.dsc"))
    if len(described) != 1:
        raise NativeError("apt brought no sources of libsrtp2: look at the suites in /etc/apt/sources.list")
    tools.run("unpacking libsrtp2", [dpkg, "--extract", described[0].name, str(target)], folder=folder)


def _scratch_apt(folder: Path) -> list[str]:
    """Options that make apt keep everything below ``folder``, where a list of this release's sources is put."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    parts, lists, cache = folder / "parts", folder / "lists", folder / "cache"
    for place in (parts, lists / "partial", cache):
        place.mkdir(parents=True)
    for path in (APT / "sources.list", *sorted(APT.glob("sources.list.d/*"))):
        text = path.read_text() if path.suffix in {".list", ".sources"} and path.is_file() else ""
        (parts / path.name).write_text(source_list(text, release))
    return [
        "-oDir::Etc::sourcelist=/dev/null",
        f"-oDir::Etc::sourceparts={parts}",
        f"-oDir::State::Lists={lists}",
        f"-oDir::Cache={cache}",
        "-oAcquire::Retries=2",
        "-oAcquire::http::Timeout=20",
    ]


def source_list(text: str, release: str) -> str:
    """The ``deb-src`` form of one source list's entries for a release (``bookworm``, and ``bookworm-security``).

    Knows both forms, one line an entry and deb822 (``man sources.list``). Entries of other suites are left out.
    """
    suite = re.compile(rf"(?<![^\s/]){re.escape(release)}(-security|-updates)?(?![^\s/])")
    if re.search(r"^Types:", text, re.MULTILINE):
        stanzas = [stanza for stanza in re.split(r"\n\s*\n", text) if _has_suite(stanza, suite)]
        return "\n\n".join(re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=re.MULTILINE) for stanza in stanzas)
    lines = [line for line in text.splitlines() if re.match(r"deb\s", line) and suite.search(line)]
    return "\n".join(re.sub(r"^deb\s", "deb-src ", line) for line in lines) + "\n"


def _has_suite(stanza: str, suite: re.Pattern[str]) -> bool:
    field = re.search(r"^Suites:(.*)$", stanza, re.MULTILINE)
    return bool(field and suite.search(field[1]))
