"""Where a worker is found: a given binary, the one that came with a wheel, or the per-user cache.

Reads only: no network, no building, no starting. A wheel carries its worker in ``packaged/`` beside this file, laid out
as a folder of the cache is. The cache holds, under ``$XDG_CACHE_HOME/voiceplane/worker`` (``~/.cache/...``),

* ``<version>-<recipe hash>/``: ``mediasoup-worker``, ``message.bfbs``, the ``fbs/`` that it was made from, and
  ``manifest.json``; complete or not at all;
* ``<version>-schema/``: the same without a binary, for binaries that were given.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Final, Literal

from worker_bridge.errors import NativeError, VersionMismatch
from worker_bridge.native import tools
from worker_bridge.native.package import INTEGRITY

Origin = Literal["given", "packaged", "built"]

VARIABLES: Final = ("VOICEPLANE_WORKER_BIN", "MEDIASOUP_WORKER_BIN")  # the first that is set wins
BINARY: Final = "mediasoup-worker"
SCHEMA: Final = "message.bfbs"
SCHEMA_TEXT: Final = "fbs"  # the folder of what it was made from; a wheel leaves it out
MANIFEST: Final = "manifest.json"
PACKAGED: Final = Path(__file__).with_name("packaged")  # in a wheel; a checkout has none
BUILD_COMMAND: Final = "`python -m worker_bridge.native build`"
REBUILD_COMMAND: Final = "`python -m worker_bridge.native build --force`"


@dataclass(frozen=True, slots=True)
class NativeWorker:
    """A worker binary with the schema that its messages follow.

    ``version``: the release that the binary says it is of. One that says nothing is taken for ours until ``check``,
    or the bridge's own probe, has asked it.
    """

    binary: Path
    schema: Path
    version: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Manifest:
    """What lies in a cache folder. ``sha256`` is the binary's, in hex; empty where there is only a schema.
    ``libraries``: the Debian packages that were linked in, with their versions."""

    version: str
    origin: str
    sha256: str
    recipe: str
    libraries: dict[str, str] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        (folder / MANIFEST).write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """The manifest of a folder; None where there is none, or none of ours."""
        try:
            return cls(**json.loads((folder / MANIFEST).read_text()))
        except (OSError, ValueError, TypeError):
            return None


def worker_version() -> str:
    """The one release that this bridge speaks."""
    return resources.files("worker_bridge").joinpath("VERSION").read_text().strip()


def recipe_hash() -> str:
    """Names everything that a built binary depends on, and that this package decides, in 12 hex digits."""
    here = Path(__file__).parent
    digest = hashlib.sha256(f"{INTEGRITY}\0{platform.system()}\0{platform.machine()}".encode())
    files = [
        *(here / name for name in ("recipe.py", "edits.py", "units.py", "libsrtp.py")),
        *(here / "subprojects").rglob("*"),
    ]
    for path in sorted(path for path in files if path.is_file()):
        digest.update(b"\0" + path.relative_to(here).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def cache_root() -> Path:
    """The folder of all cached workers; need not exist yet."""
    return tools.user_cache() / "worker"


def worker_folder() -> Path:
    return cache_root() / f"{worker_version()}-{recipe_hash()}"


def schema_folder() -> Path:
    return cache_root() / f"{worker_version()}-schema"


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def locate(binary: str | None = None) -> NativeWorker:
    """The worker to start: ``binary``, else what the environment names, what came with the wheel, what the cache holds.

    Raises ``NativeError`` with the way to get one, ``VersionMismatch`` for a binary of another release.
    """
    path = given_binary(binary)
    if path is None:
        return packaged_worker() or cached_worker()
    version = check_version(path)
    for folder in (path.parent, PACKAGED, worker_folder(), schema_folder()):
        manifest = Manifest.read(folder)
        if manifest and manifest.version == worker_version() and (folder / SCHEMA).is_file():
            return NativeWorker(path, folder / SCHEMA, version or worker_version(), "given")
    raise NativeError(
        f"the schema of mediasoup {worker_version()} for the worker {path} is missing: run {BUILD_COMMAND}"
    )


def given_binary(binary: str | None = None) -> Path | None:
    """The binary that the caller or the environment names, if any. Raises ``NativeError`` for what can't be run."""
    given = [("the given worker (VOICEPLANE_WORKER_BIN)", binary)]
    for name, value in given if binary else [(name, os.environ.get(name)) for name in VARIABLES]:
        if not value:
            continue
        path = Path(value).expanduser().absolute()
        if not path.is_file():
            raise NativeError(f"{name} is {path}, where there is no file: correct it or leave it out")
        if not os.access(path, os.X_OK):
            raise NativeError(f"{name} is {path}, which may not be executed: make it executable (chmod +x)")
        return path
    return None


def packaged_worker() -> NativeWorker | None:
    """The worker that came with a wheel; None where none did. Raises ``NativeError`` if it is not as it came."""
    manifest = Manifest.read(PACKAGED)
    if manifest is None:
        return None
    worker = NativeWorker(PACKAGED / BINARY, PACKAGED / SCHEMA, manifest.version, "packaged")
    whole = worker.binary.is_file() and worker.schema.is_file() and manifest.sha256 == sha256_of(worker.binary)
    if not whole or manifest.version != worker_version():
        raise NativeError(f"the worker {worker.binary} is not the one that was installed: {remedy(worker)}")
    return worker


def cached_worker() -> NativeWorker:
    """The worker that an earlier build left. Raises ``NativeError`` if there is none, or not as it was left."""
    folder = worker_folder()
    binary, schema, manifest = folder / BINARY, folder / SCHEMA, Manifest.read(folder)
    if not (manifest and binary.is_file() and schema.is_file()):
        raise NativeError(
            f"there is no mediasoup worker {worker_version()} for this machine yet: "
            f"run {BUILD_COMMAND}, or set {VARIABLES[0]} to a binary"
        )
    if manifest.version != worker_version() or manifest.sha256 != sha256_of(binary):
        raise NativeError(f"the cached worker {binary} is not the one that was put there: run {REBUILD_COMMAND}")
    return NativeWorker(binary, schema, manifest.version, "built")


def remedy(worker: NativeWorker) -> str:
    """What to do about a worker that is no good."""
    if worker.origin == "given":
        return f"set {VARIABLES[0]} to a worker of mediasoup {worker_version()}, or unset it and run {BUILD_COMMAND}"
    if worker.origin == "packaged":
        return f"install it again (pip install --force-reinstall), or set {VARIABLES[0]} to a binary"
    return f"run {REBUILD_COMMAND}"


def check_version(binary: Path) -> str | None:
    """The release that a binary's surroundings name; None where they name none. Raises ``VersionMismatch``."""
    version = stated_version(binary)
    if version is not None and version != worker_version():
        raise VersionMismatch(
            f"the worker {binary} is of mediasoup {version}, but the bridge speaks {worker_version()}: "
            f"install mediasoup@{worker_version()}, or unset {VARIABLES[0]} and run {BUILD_COMMAND}"
        )
    return version


def stated_version(binary: Path) -> str | None:
    """What stands beside a binary about its release: our manifest, or the npm package that it belongs to.

    In the npm package it is ``mediasoup/worker/out/Release/mediasoup-worker``.
    """
    binary = binary.resolve()
    manifest = Manifest.read(binary.parent)
    if manifest:
        return manifest.version
    for folder in list(binary.parents)[:4]:
        try:
            package = json.loads((folder / "package.json").read_text())
        except (OSError, ValueError):
            continue
        if isinstance(package, dict) and package.get("name") == "mediasoup":
            return str(package.get("version"))
    return None
