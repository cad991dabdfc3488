"""Nothing is unpacked that is not, byte for byte, the package that was published."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path

import pytest

from tests.worker_bridge.native.stand_ins import write_executable
from worker_bridge.errors import NativeError
from worker_bridge.native import cache, package

VERSION = cache.worker_version()


def write_tarball(path: Path, name: str, version: str) -> Path:
    content = json.dumps({"name": name, "version": version}).encode()
    member = tarfile.TarInfo("package/package.json")
    member.size = len(content)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(member, io.BytesIO(content))
    return path


def quiet(_: str) -> None:
    """Takes progress that nobody looks at."""


def test_the_integrity_is_an_sri_hash_of_full_length() -> None:
    assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package.INTEGRITY)


def test_a_package_with_another_hash_is_refused(tmp_path: Path) -> None:
    tarball = write_tarball(tmp_path / f"mediasoup-{VERSION}.tgz", "mediasoup", VERSION)
    with pytest.raises(NativeError, match="is not the package that was published"):
        package.check_integrity(tarball, package.INTEGRITY)


def test_fetching_stops_at_a_wrong_hash(tmp_path: Path, no_tools: Path) -> None:
    tarball = write_tarball(tmp_path / "forged.tgz", "mediasoup", VERSION)
    write_executable(no_tools / "npm", f"#!/bin/sh\n/bin/cp {tarball} mediasoup-{VERSION}.tgz\n")
    with pytest.raises(NativeError, match="is not the package that was published"):
        package.fetch(VERSION, tmp_path, quiet)
    assert not (tmp_path / "npm").exists()


def test_npm_is_told_the_exact_version_and_to_run_no_scripts(tmp_path: Path, no_tools: Path) -> None:
    write_executable(no_tools / "npm", '#!/bin/sh\necho "$@" > said\n')
    with pytest.raises(NativeError, match="npm brought no mediasoup"):
        package.fetch(VERSION, tmp_path, quiet)
    assert (tmp_path / "said").read_text().split()[:3] == ["pack", f"mediasoup@{VERSION}", "--ignore-scripts"]


def test_what_npm_says_when_it_fails_reaches_the_error(tmp_path: Path, no_tools: Path) -> None:
    write_executable(no_tools / "npm", "#!/bin/sh\necho npm error network is down >&2\nexit 1\n")
    with pytest.raises(NativeError, match=f"fetching mediasoup {VERSION} failed: npm said 'npm error network is down'"):
        package.fetch(VERSION, tmp_path, quiet)


def test_without_npm_and_pypi_one_sentence_says_what_to_install(tmp_path: Path, no_tools: Path) -> None:
    with pytest.raises(NativeError, match=r"npm is missing: install it \(apt-get install npm\)"):
        package.fetch(VERSION, tmp_path, quiet)


@pytest.mark.parametrize(("name", "version"), [("mediasoup", "3.19.3"), ("mediasoup-client", VERSION)])
def test_another_package_is_not_unpacked_as_ours(tmp_path: Path, name: str, version: str) -> None:
    tarball = write_tarball(tmp_path / "other.tgz", name, version)
    with pytest.raises(NativeError, match=f"is {name} {version}, not mediasoup {VERSION}"):
        package.unpack(tarball, VERSION, tmp_path / "npm")
