"""The worker from source, in named steps, with the system's libraries in place of those that its build would fetch.

Each step checks what it relies on and fails in one sentence. The result is one binary that needs libc and libm only, or
the system's libsrtp as well where its sources could not be had.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native import libsrtp, tools, units
from worker_bridge.native.edits import edit_sources
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
REMEDY: Final = "pip install 'voiceplane[build]'"

SETUP: Final = (
    "--wrap-mode=nodownload",
    "--buildtype=release",
    "-Db_ndebug=true",
    "-Db_lto=true",  # takes as long, is smaller, and costs a worker a little less CPU
    "-Dcpp_link_args=-static-libstdc++ -static-libgcc",
)

NO_VERSION_EXIT: Final = 41  # of a worker that was started without MEDIASOUP_VERSION: it ran, and that is all we ask


def compile_worker(package: Path, version: str, scratch: Path, target: Path, progress: Progress) -> None:
    """Builds the worker of an unpacked npm ``package``, which is changed on the way, and puts it at ``target``.

    ``scratch`` is an empty folder for everything between. Raises ``NativeError``. Takes minutes.
    """
    worker = package / "worker"
    steps: list[tuple[str, Callable[[], None]]] = [
        ("looking for compiler and libraries", lambda: check_system(scratch)),
        ("replacing the libraries' sources", lambda: replace_subprojects(worker)),
        ("fetching libsrtp's sources", lambda: place_libsrtp(worker, scratch / "apt", progress)),
        ("changing what Debian's OpenSSL can't live with", lambda: edit_sources(package, version)),
        ("compiling", lambda: take(compile_sources(worker, scratch, progress), target)),
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
    tools.require("ninja", REMEDY)
    said = tools.run("asking meson for its version", [tools.require("meson", REMEDY), "--version"], folder=scratch)
    numbers = re.match(r"(\d+)\.(\d+)", said)
    if not numbers or (int(numbers[1]), int(numbers[2])) < MESON_MINIMUM:
        raise NativeError(f"meson {said.strip()} is too old, 1.1 is the least: {REMEDY}")


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


def compile_sources(worker: Path, scratch: Path, progress: Progress) -> Path:
    """The binary: of the sources joined into units, or where that can't be, which costs time alone, one by one."""
    unjoined = scratch / "unjoined"
    shutil.copytree(worker, unjoined)
    reason = units.join(worker)
    if reason is None:
        try:
            return build(worker, scratch / "out", progress)
        except NativeError as error:
            reason = str(error)
    progress(f"warning: compiling the sources one by one, which takes three times as long ({reason})")
    return build(unjoined, scratch / "out-unjoined", progress)


def build(worker: Path, out: Path, progress: Progress) -> Path:
    meson = tools.require("meson", REMEDY)
    tools.run("configuring the worker", [meson, "setup", *SETUP, str(out)], folder=worker)
    compile_all(out, progress)
    return out / "mediasoup-worker"


def compile_all(out: Path, progress: Progress) -> None:
    """Compiles on all processors, at a lowered priority. Tells ninja's count: ``compiling 17/231``."""

    def tell(line: str) -> None:
        count = re.match(r"\[(\d+/\d+)\]", line)
        if count:
            progress(f"compiling {count[1]}")

    command = ["nice", tools.require("ninja", REMEDY), "-C", str(out), "mediasoup-worker"]
    tools.run("compiling the worker", command, folder=out, lines=tell, env={"NINJA_STATUS": "[%f/%t] "})


def take(built: Path, target: Path) -> None:
    if not runs_here(built):
        raise NativeError("the worker was built but does not run here: look for what kills it (dmesg)")
    shutil.copy(built, target)


def runs_here(binary: Path) -> bool:
    """Whether the binary is a worker that this system can run, by its exit code without its release's name."""
    try:
        done = subprocess.run([binary], env={}, capture_output=True, timeout=10, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == NO_VERSION_EXIT
