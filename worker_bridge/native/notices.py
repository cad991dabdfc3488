"""The licenses of what is in a worker binary, which go wherever the binary goes.

Collected from the packages themselves: mediasoup's from npm, the libraries' from what Debian lays beside them, and
libsrtp's, whose binary need not be installed, from Debian's source package.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native import libsrtp, package
from worker_bridge.native.cache import NativeWorker
from worker_bridge.native.tools import Progress

DOCUMENTS: Final = Path("/usr/share/doc")
APACHE: Final = Path("/usr/share/common-licenses/Apache-2.0")  # OpenSSL's, FlatBuffers' and abseil's

# What is linked into the worker, and into our codec, by the Debian package (as a glob) that knows its license.
LIBRARIES: Final = {
    "abseil": "libabsl-dev",
    "openssl": "libssl-dev",
    "libuv": "libuv1-dev",
    "flatbuffers": "libflatbuffers-dev",
    "gcc-runtime": "libstdc++-*-dev",
}
LIBSRTP: Final = "libsrtp2-*"


def collect(worker: NativeWorker, target: Path, scratch: Path, progress: Progress) -> None:
    """Write one text per component into ``target``. Raises ``NativeError`` that names a license which can't be had."""
    target.mkdir()
    unpacked = package.fetch(worker.version, scratch, progress)
    shutil.copy(unpacked / "LICENSE", target / "mediasoup.txt")
    for name, packages in LIBRARIES.items():
        shutil.copy(installed(name, packages), target / f"{name}.txt")
    shutil.copy(APACHE, target / "apache-2.0.txt")
    shutil.copy(libsrtp_license(scratch, progress), target / "libsrtp.txt")


def installed(name: str, packages: str) -> Path:
    """Debian's statement about an installed package; of several versions the last."""
    found = sorted(DOCUMENTS.glob(f"{packages}/copyright"))
    if not found:
        raise NativeError(f"the license of {name} is missing: install {packages}, which brings it to {DOCUMENTS}")
    return found[-1]


def libsrtp_license(scratch: Path, progress: Progress) -> Path:
    if list(DOCUMENTS.glob(f"{LIBSRTP}/copyright")):
        return installed("libsrtp", LIBSRTP)
    progress("fetching libsrtp's license")
    folder = scratch / "apt"
    folder.mkdir()
    libsrtp.fetch_sources(scratch / "libsrtp", folder)
    return scratch / "libsrtp" / "debian" / "copyright"
