"""Fills the cache: the package, then the schema, then a binary from its sources. All of it appears, or nothing.

What is made is made in a scratch folder of the cache, checked as a whole, and renamed into place. A lock keeps two
builds of one user apart; what a killed one left is swept up by the next.
"""

from __future__ import annotations

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native import cache, package, recipe, schema
from worker_bridge.native.cache import BINARY, SCHEMA, SCHEMA_TEXT, Manifest, NativeWorker
from worker_bridge.native.checker import check
from worker_bridge.native.libraries import installed_packages
from worker_bridge.native.tools import Progress

LOCK: Final = ".lock"
SCRATCH_PREFIX: Final = ".build-"


def build(progress: Progress, *, force: bool = False) -> NativeWorker:
    """Has the worker that ``locate`` will find. Returns at once if it is there, unless ``force``, or came with a wheel.

    A binary that is given (``VOICEPLANE_WORKER_BIN``) only gets its schema. Otherwise one is built from source, which
    takes a minute or more: nothing is run that was linked elsewhere. ``progress`` is told each step.
    Raises ``NativeError``: one sentence on what to install or set. The cache is then as it was.
    """
    given = cache.given_binary()
    if given:
        cache.check_version(given)
    elif packaged := cache.packaged_worker():
        return packaged
    target = cache.schema_folder() if given else cache.worker_folder()
    with _locked(cache.cache_root(), progress) as root:
        if force or not _complete():
            with _scratch(root) as scratch:
                made = scratch / "made"
                made.mkdir()
                _make(made, scratch, progress, with_binary=given is None)
                _publish(made, target, scratch)
    return cache.locate()


def _complete() -> bool:
    try:
        schema = cache.locate().schema
    except NativeError:
        return False
    return schema.parent.parent != cache.cache_root() or (schema.parent / SCHEMA_TEXT).is_dir()


def _make(made: Path, scratch: Path, progress: Progress, *, with_binary: bool) -> None:
    version = cache.worker_version()
    unpacked = package.fetch(version, scratch, progress)
    schema.make_schema(unpacked, made / SCHEMA, progress)
    if not with_binary:
        Manifest(version, "given", "", "").write(made)
        return
    binary = made / BINARY
    recipe.compile_worker(unpacked, version, scratch, binary, progress)
    progress("starting the worker once")
    check(NativeWorker(binary, made / SCHEMA, version, "built"))
    packages = installed_packages(scratch)
    Manifest(version, "built", cache.sha256_of(binary), cache.recipe_hash(), packages).write(made)


def _publish(made: Path, target: Path, scratch: Path) -> None:
    """Puts ``made`` at ``target``. A folder can't be renamed over another that is not empty: that one goes first."""
    if target.exists():
        target.rename(scratch / "replaced")
    made.rename(target)


@contextmanager
def _locked(root: Path, progress: Progress) -> Iterator[Path]:
    """Holds the cache against other builds, also those of other processes."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / LOCK).open("w")
    except OSError as error:
        raise NativeError(f"the cache {root} can't be written ({error.strerror}): set XDG_CACHE_HOME") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield root


@contextmanager
def _scratch(root: Path) -> Iterator[Path]:
    """A folder in the cache, so that what is made there can be renamed into place; gone at the end."""
    for left in root.glob(f"{SCRATCH_PREFIX}*"):  # by a build that was killed: we hold the lock, so nobody uses it
        shutil.rmtree(left, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=root))
    try:
        yield path
    except OSError as error:
        raise NativeError(f"building in {path} failed ({error}): look at the disk and its rights") from error
    finally:
        shutil.rmtree(path, ignore_errors=True)
