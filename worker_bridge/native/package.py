"""The npm package ``mediasoup`` of the one release that we speak: fetched by the npm client, checked, unpacked.

Nothing of it is ever run here as JavaScript: it is taken for its C++ sources and its FlatBuffers schemas.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import tarfile
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native import tools
from worker_bridge.native.npm import TIMEOUT, npm
from worker_bridge.native.tools import Progress

# Subresource Integrity (SRI) of the tarball of the release in VERSION. The two change together.
INTEGRITY: Final = "sha512-unjG0ihJFZmCXxtS5ay6iPp+ov1Rg/BhJuP1gGfw4ElX/K5Z0it3PCC7rKecWMK2FgbQ52kKmDgZBPm/ewYO6A=="


def fetch(version: str, folder: Path, progress: Progress) -> Path:
    """Fetches, checks and unpacks the package below ``folder``. Returns the package's own folder.

    Raises ``NativeError`` where it can't be had, or is not, byte for byte, the one that we know.
    """
    progress(f"fetching mediasoup {version} with npm")
    command = [*npm(progress), "pack", f"mediasoup@{version}", "--ignore-scripts", "--pack-destination", "."]
    tools.run(f"fetching mediasoup {version}", command, folder=folder, timeout=TIMEOUT)
    tarball = folder / f"mediasoup-{version}.tgz"
    if not tarball.is_file():
        raise NativeError(f"npm brought no {tarball.name}: see what `npm pack mediasoup@{version}` does")
    check_integrity(tarball, INTEGRITY)
    return unpack(tarball, version, folder / "npm")


def check_integrity(tarball: Path, integrity: str) -> None:
    """Raises ``NativeError`` unless the file has that SRI hash (https://www.w3.org/TR/SRI/)."""
    algorithm, _, expected = integrity.partition("-")
    with tarball.open("rb") as file:
        digest = base64.b64encode(hashlib.file_digest(file, algorithm).digest()).decode()
    if not hmac.compare_digest(digest, expected):
        raise NativeError(
            f"{tarball.name} is not the package that was published (its hash is {algorithm}-{digest[:12]}..., not "
            f"{integrity[:19]}...): look at the registry that npm is set up for"
        )


def unpack(tarball: Path, version: str, target: Path) -> Path:
    """Unpacks into ``target`` and returns the folder of the package, whose ``package.json`` must say ``version``."""
    with tarfile.open(tarball) as archive:
        archive.extraction_filter = getattr(tarfile, "data_filter", None)  # PEP 706; Debian 12's 3.11.2 has none
        archive.extractall(target)  # noqa: S202  the tarball's hash is the pinned one
    package = target / "package"  # the name that npm gives it in every tarball
    require_version(package, version)
    return package


def require_version(package: Path, version: str) -> None:
    """Raises ``NativeError`` unless ``package`` is the folder of that release."""
    try:
        stated = json.loads((package / "package.json").read_text())
    except (OSError, ValueError):
        raise NativeError(f"{package} is no npm package: fetch it again") from None
    if (stated.get("name"), stated.get("version")) != ("mediasoup", version):
        raise NativeError(f"{package} is {stated.get('name')} {stated.get('version')}, not mediasoup {version}")
