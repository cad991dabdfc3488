"""The binary schema: made by ``flatc`` from the package that the worker comes from, and proven by loading it."""

from __future__ import annotations

import shutil
from pathlib import Path

from worker_bridge.codec import MessageCodec
from worker_bridge.errors import Misuse, NativeError
from worker_bridge.native import tools
from worker_bridge.native.cache import SCHEMA_TEXT
from worker_bridge.native.tools import Progress


def make_schema(package: Path, target: Path, progress: Progress) -> None:
    """Writes the schema of ``package`` (an unpacked npm package) to ``target``, and its text to ``fbs/`` beside it.

    The text is for people and tests: nothing here reads it again.

    Raises ``NativeError`` where there is no ``flatc``, ``VersionMismatch`` where our tables belong to other schemas.
    """
    progress("making the binary schema")
    flatc = tools.require("flatc", "install it (apt-get install flatbuffers-compiler)")
    sources = package / "worker" / "fbs"
    command = [flatc, "--binary", "--schema", "--bfbs-builtins", "-o", str(target.parent), "message.fbs"]
    tools.run("making the binary schema", command, folder=sources)
    shutil.copytree(
        sources, target.parent / SCHEMA_TEXT, ignore=lambda _, names: [n for n in names if not n.endswith(".fbs")]
    )
    made = target.parent / "message.bfbs"
    made.rename(target)
    try:
        MessageCodec(target.read_bytes())
    except Misuse as error:
        raise NativeError(
            f"the schema that {flatc} made can't be used ({error}): install flatc 2.0.8 or newer"
        ) from None
