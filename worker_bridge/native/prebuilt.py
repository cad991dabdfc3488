"""The binary that the release itself offers for this platform, had as the package's own install script has it.

It is taken only if it runs here. That it can't be had is no error: then the worker is built.
"""

from __future__ import annotations

import http.client
import os
import platform
import subprocess
import tarfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from worker_bridge.native.tools import Progress

BASE_URL: Final = "https://github.com/versatica/mediasoup/releases/download"
BASE_URL_VARIABLE: Final = "MEDIASOUP_WORKER_PREBUILT_DOWNLOAD_BASE_URL"  # both are the package's own
SKIP_VARIABLE: Final = "MEDIASOUP_SKIP_WORKER_PREBUILT_DOWNLOAD"
TIMEOUT: Final = 8  # seconds of silence after which the network counts as closed
LIMIT: Final = 256 * 1024 * 1024  # bytes of the download; it is about 12 MiB
NO_VERSION_EXIT: Final = 41  # of a worker that was started without MEDIASOUP_VERSION: it ran, and that is all we ask

_NODE_ARCHITECTURES: Final = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def archive_name(version: str) -> str:
    """The release's name for this platform's archive; Node's words for the parts of it."""
    system, machine = platform.system().lower(), platform.machine().lower()
    name = f"mediasoup-worker-{version}-{system}-{_NODE_ARCHITECTURES.get(machine, machine)}"
    return f"{name}-kernel{platform.release().split('.')[0]}.tgz" if system == "linux" else f"{name}.tgz"


def fetch_prebuilt(version: str, target: Path, progress: Progress) -> bool:
    """Puts the release's binary at ``target``. False, with the reason as progress, where that can't be."""
    if os.environ.get(SKIP_VARIABLE):
        progress(f"not looking for a prebuilt worker: {SKIP_VARIABLE} is set")
        return False
    url = f"{os.environ.get(BASE_URL_VARIABLE) or BASE_URL}/{version}/{archive_name(version)}"
    progress(f"looking for the prebuilt worker {archive_name(version)}")
    try:
        _download(url, target)
    except (OSError, http.client.HTTPException, tarfile.TarError, KeyError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        progress(f"there is no prebuilt worker to be had ({reason})")
        return False
    if runs_here(target):
        return True
    target.unlink()
    progress("the prebuilt worker does not run on this system")
    return False


def _download(url: str, target: Path) -> None:
    if not url.startswith(("https://", "http://", "file://")):
        raise ValueError(f"{url} is no address to fetch from")
    archive = target.with_suffix(".tgz")
    with urllib.request.urlopen(url, timeout=TIMEOUT) as response, archive.open("wb") as file:  # noqa: S310 (checked)
        while chunk := response.read(1 << 20):
            file.write(chunk)
            if file.tell() > LIMIT:
                raise ValueError(f"more than {LIMIT} bytes")
    with tarfile.open(archive) as opened:
        member = opened.extractfile("mediasoup-worker")
        if member is None:
            raise KeyError("mediasoup-worker")
        target.write_bytes(member.read(LIMIT))
    archive.unlink()
    target.chmod(0o755)


def runs_here(binary: Path) -> bool:
    """Whether the binary is a worker that this system can run, by its exit code without its release's name."""
    try:
        done = subprocess.run([binary], env={}, capture_output=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == NO_VERSION_EXIT
