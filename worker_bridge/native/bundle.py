"""``python -m worker_bridge.native.bundle FOLDER``: a worker, its schema and their licenses, to be carried by a wheel.

Had as ``python -m worker_bridge.native build`` has it, and laid out as in the cache: one reader serves for both.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from worker_bridge.native import cache, tools
from worker_bridge.native.builder import build
from worker_bridge.native.cache import BINARY, SCHEMA, Manifest
from worker_bridge.native.notices import collect
from worker_bridge.native.tools import Progress

LICENSES: Final = "licenses"


def bundle(folder: Path, progress: Progress) -> None:
    """Fill ``folder``, which is made anew. Raises ``NativeError`` where a worker or a license can't be had."""
    worker = build(progress)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(worker.binary, folder / BINARY)
    shutil.copy(worker.schema, folder / SCHEMA)
    with tempfile.TemporaryDirectory(prefix="voiceplane-licenses-") as scratch:
        collect(worker, folder / LICENSES, Path(scratch), progress)
    recipe = "" if worker.origin == "given" else cache.recipe_hash()
    built = Manifest.read(worker.binary.parent)
    packages = built.libraries if built else {}
    Manifest(worker.version, worker.origin, cache.sha256_of(folder / BINARY), recipe, packages).write(folder)


if __name__ == "__main__":
    target = Path(sys.argv[1]).absolute()
    sys.exit(tools.as_program("the worker can't be packed", lambda progress: bundle(target, progress)))
