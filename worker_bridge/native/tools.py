"""Other people's programs: found, or missed in one sentence; run quietly, with what they said kept for an error."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

from worker_bridge.environment import for_program
from worker_bridge.errors import NativeError

Progress = Callable[[str], None]

TAIL: Final = 400  # characters of a failed program's last words that an error repeats


def user_cache() -> Path:
    """The folder of all that is built or fetched once per user; need not exist yet.

    XDG Base Directory: a relative path is to be ignored.
    """
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    base = configured if configured.is_absolute() else Path.home() / ".cache"
    return base / "voiceplane"


def search_path() -> str:
    """PATH, with the folder of this Python before it: a virtual environment need not be activated for its tools."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def find(tool: str) -> str | None:
    return shutil.which(tool, path=search_path())


def require(tool: str, remedy: str) -> str:
    """The path of a program. Raises ``NativeError`` that ends in ``remedy``."""
    path = find(tool)
    if path is None:
        raise NativeError(f"{tool} is missing: {remedy}")
    return path


def run(
    step: str,
    command: list[str],
    *,
    folder: Path,
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    lines: Callable[[str], None] | None = None,
) -> str:
    """Runs a program to its end and returns what it wrote. ``timeout`` in seconds; ``lines`` is told each line.

    Raises ``NativeError`` with the program's last words. Whatever ends us early ends the program too.
    """
    environment = for_program({"PATH": search_path(), **(env or {})})
    try:
        with subprocess.Popen(  # noqa: S603 (our own commands, no shell)
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process:
            try:
                output = _drain(process, lines) if lines else process.communicate(timeout=timeout)[0]
            except BaseException:
                process.terminate()
                raise
    except subprocess.TimeoutExpired:
        raise NativeError(f"{step} took longer than {timeout:g} s: see whether the network can be reached") from None
    except OSError as error:
        raise NativeError(f"{step} failed: {command[0]} can't be run ({error.strerror})") from None
    if process.returncode != 0:
        raise NativeError(f"{step} failed: {Path(command[0]).name} said {last_words(output)!r}")
    return output


def _drain(process: subprocess.Popen[str], lines: Callable[[str], None]) -> str:
    said = []
    for line in process.stdout or ():
        said.append(line)
        lines(line.rstrip())
    process.wait()
    return "".join(said)


def as_program(failure: str, work: Callable[[Progress], object]) -> int:
    """The exit code of a piece of building as a program of its own: its steps and its failure go to stderr."""

    def tell(line: str) -> None:
        sys.stderr.write(f"{line} ...\n")

    try:
        work(tell)
    except NativeError as error:
        sys.stderr.write(f"{failure}: {str(error).rstrip('.')}.\n")
        return 1
    return 0


def last_words(output: str) -> str:
    """The end of a program's output on one line; the line that names an error, if there is one, and what follows."""
    said = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [number for number, line in enumerate(said) if re.search(r"\berror\b", line, re.IGNORECASE)]
    return " ".join(said[telling[0] :] if telling else said[-3:])[:TAIL]


def missing_headers(compiler: str, headers: Iterable[str], *, folder: Path) -> list[str]:
    """Those of ``headers`` that the C++ compiler does not find."""

    def found(header: str) -> bool:
        source = f"#include <{header}>\n"
        command = [compiler, "-std=c++17", "-x", "c++", "-E", "-", "-o", os.devnull]
        done = subprocess.run(  # noqa: S603
            command, input=source, text=True, capture_output=True, check=False, cwd=folder, env=for_program()
        )
        return done.returncode == 0

    return [header for header in headers if not found(header)]
