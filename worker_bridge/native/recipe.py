"""The worker from source, in named steps, with the system's libraries in place of those that its build would fetch.

Each step checks what it relies on and fails in one sentence. The result is one binary that needs libc and libm only, or
the system's libsrtp as well where its sources could not be had.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native import libsrtp, tools
from worker_bridge.native.package import require_version
from worker_bridge.native.prebuilt import runs_here
from worker_bridge.native.tools import Progress

SUBPROJECTS: Final = Path(__file__).parent / "subprojects"

# What the build needs of Debian, by the header or program that shows it to be there.
HEADERS: Final = {
    "absl/strings/match.h": "libabsl-dev",
    "uv.h": "libuv1-dev",
    "openssl/ssl.h": "libssl-dev",
    "flatbuffers/flatbuffers.h": "libflatbuffers-dev",
}
PROGRAMS: Final = {"g++": "g++", "flatc": "flatbuffers-compiler", "pkg-config": "pkg-config"}
MESON_MINIMUM: Final = (1, 1)

SETUP: Final = (
    "--wrap-mode=nodownload",
    "--buildtype=release",
    "-Db_ndebug=true",
    "-Dcpp_link_args=-static-libstdc++ -static-libgcc",
)

# Debian's OpenSSL does kernel TLS, and asks a BIO whether it does, too. The worker's callback on its memory BIO answers
# 1 to every control call, which is yes; OpenSSL then has no write buffer, and the worker dies in the first DTLS
# handshake in which it is the client. The callback must pass on the result of each operation that has returned.
KERNEL_TLS_FILE: Final = "src/RTC/DtlsTransport.cpp"
KERNEL_TLS_WRONG: Final = "(operationType == BIO_CB_RETURN)"
KERNEL_TLS_RIGHT: Final = "((operationType & BIO_CB_RETURN) != 0)"


def compile_worker(package: Path, version: str, scratch: Path, target: Path, progress: Progress) -> None:
    """Builds the worker of an unpacked npm ``package``, which is changed on the way, and puts it at ``target``.

    ``scratch`` is an empty folder for everything between. Raises ``NativeError``. Takes minutes.
    """
    worker, out = package / "worker", scratch / "out"
    steps: list[tuple[str, Callable[[], None]]] = [
        ("looking for compiler and libraries", lambda: check_system(scratch)),
        ("replacing the libraries' sources", lambda: replace_subprojects(worker)),
        ("fetching libsrtp's sources", lambda: place_libsrtp(worker, scratch / "apt", progress)),
        ("working around kernel TLS", lambda: work_around_kernel_tls(package, version)),
        ("configuring", lambda: configure(worker, out)),
        ("compiling", lambda: compile_all(out, progress)),
        ("trying the binary", lambda: take(out / "mediasoup-worker", target)),
    ]
    for name, step in steps:
        progress(name)
        step()


def check_system(scratch: Path) -> None:
    """Raises ``NativeError`` that names everything that is missing at once."""
    packages = [package for program, package in PROGRAMS.items() if tools.find(program) is None]
    compiler = tools.find("g++")
    if compiler:
        packages += [HEADERS[header] for header in tools.missing_headers(compiler, HEADERS, folder=scratch)]
    if packages:
        raise NativeError(f"building the worker needs {', '.join(packages)}: apt-get install {' '.join(packages)}")
    remedy = "pip install 'voiceplane[build]'"
    tools.require("ninja", remedy)
    said = tools.run("asking meson for its version", [tools.require("meson", remedy), "--version"], folder=scratch)
    numbers = re.match(r"(\d+)\.(\d+)", said)
    if not numbers or (int(numbers[1]), int(numbers[2])) < MESON_MINIMUM:
        raise NativeError(f"meson {said.strip()} is too old, 1.1 is the least: {remedy}")


def replace_subprojects(worker: Path) -> None:
    """Puts our folders, which take the system's libraries, in place of the descriptions of what to download."""
    subprojects = worker / "subprojects"
    if not list(subprojects.glob("*.wrap")):
        raise NativeError(f"{subprojects} holds no wrap files: the package is not laid out as the recipe knows it")
    shutil.rmtree(subprojects)
    shutil.copytree(SUBPROJECTS, subprojects)


def place_libsrtp(worker: Path, scratch: Path, progress: Progress) -> None:
    """Puts libsrtp's sources where our ``libsrtp3`` looks for them; without them it takes the system's library."""
    target = worker / "subprojects" / "libsrtp2"
    scratch.mkdir()
    try:
        libsrtp.fetch_sources(target, scratch)
    except (NativeError, OSError) as error:
        shutil.rmtree(target, ignore_errors=True)
        if not _has_system_libsrtp(scratch):
            raise NativeError(f"libsrtp is missing: install it (apt-get install libsrtp2-dev); {error}") from None
        progress(f"warning: using the system's libsrtp, which may cost a third more CPU ({error})")
        return
    compat = worker / "subprojects" / "libsrtp3" / "compat" / "srtp2"
    compat.mkdir(parents=True)
    shutil.copy(target / "include" / "srtp.h", compat / "srtp.h")


def _has_system_libsrtp(scratch: Path) -> bool:
    try:
        tools.run("looking for libsrtp2", ["pkg-config", "--exists", "libsrtp2"], folder=scratch)
    except NativeError:
        return False
    return not tools.missing_headers("g++", ["srtp2/srtp.h"], folder=scratch)


def work_around_kernel_tls(package: Path, version: str) -> None:
    """Changes the one expression of the worker that Debian's OpenSSL can't live with.

    Raises ``NativeError`` for a package of another release, and where the expression is not there exactly once.
    """
    require_version(package, version)
    source = package / "worker" / KERNEL_TLS_FILE
    text = source.read_text()
    if text.count(KERNEL_TLS_WRONG) != 1:
        raise NativeError(
            f"{KERNEL_TLS_FILE} holds {KERNEL_TLS_WRONG!r} {text.count(KERNEL_TLS_WRONG)} times, not once: "
            "see whether this release still needs the work-around, and correct recipe.py"
        )
    source.write_text(text.replace(KERNEL_TLS_WRONG, KERNEL_TLS_RIGHT))


def configure(worker: Path, out: Path) -> None:
    meson = tools.require("meson", "pip install 'voiceplane[build]'")
    tools.run("configuring the worker", [meson, "setup", *SETUP, str(out)], folder=worker)


def compile_all(out: Path, progress: Progress) -> None:
    """Compiles on all processors, at a lowered priority. Tells ninja's count: ``compiling 17/231``."""
    ninja = tools.require("ninja", "pip install 'voiceplane[build]'")

    def tell(line: str) -> None:
        count = re.match(r"\[(\d+/\d+)\]", line)
        if count:
            progress(f"compiling {count[1]}")

    command = ["nice", ninja, "-C", str(out), "mediasoup-worker"]
    tools.run("compiling the worker", command, folder=out, lines=tell, env={"NINJA_STATUS": "[%f/%t] "})


def take(built: Path, target: Path) -> None:
    if not runs_here(built):
        raise NativeError("the worker was built but does not run here: look for what kills it (dmesg)")
    shutil.copy(built, target)
