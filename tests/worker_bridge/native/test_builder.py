"""A build fills the cache whole, or leaves it as it was; two of them do not meet."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import shutil
import tarfile
import threading
from pathlib import Path

import pytest

from tests.worker_bridge.native.stand_ins import MESON, NICE, RUNS, write_executable
from worker_bridge.errors import NativeError
from worker_bridge.native import build, cache, locate, package

VERSION = cache.worker_version()


def left_in(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != ".lock")


@pytest.fixture
def registry(
    tmp_path: Path, no_tools: Path, schema_path: Path, small_worker: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A machine with flatc, and an npm that brings a package of the real schemas, whose sources are nothing much."""
    folder = small_worker.parent
    shutil.copytree(schema_path.parent / "fbs", small_worker / "fbs")
    (folder / "package.json").write_text(json.dumps({"name": "mediasoup", "version": VERSION}))
    tarball = tmp_path / f"mediasoup-{VERSION}.tgz"
    with tarfile.open(tarball, "w:gz") as archive:
        archive.add(folder, "package")
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()
    monkeypatch.setattr(package, "INTEGRITY", f"sha512-{digest}")
    write_executable(no_tools / "npm", f"#!/bin/sh\n/bin/cp {tarball} .\n")
    flatc = shutil.which("flatc", path="/usr/local/bin:/usr/bin:/bin")
    assert flatc
    (no_tools / "flatc").symlink_to(flatc)
    return no_tools


def make_compilers(folder: Path, binary: Path) -> None:
    """What a build needs, with ``binary`` for all that is ever linked."""
    write_executable(folder / "meson", MESON)
    write_executable(folder / "ninja", f'#!/bin/sh\n/bin/cp {binary} "$2/mediasoup-worker"\n')
    write_executable(folder / "nice", NICE)
    for name in ("g++", "pkg-config"):
        write_executable(folder / name, "#!/bin/sh\n")


def test_a_worker_is_built_proven_and_cached(real_binary: Path, no_cache: Path, registry: Path) -> None:
    make_compilers(registry, real_binary)
    listed = r"libssl-dev 3.0.19-1~deb12u1\nlibuv1-dev 1.44.2-1+deb12u1\n"
    write_executable(registry / "dpkg-query", f"#!/bin/sh\nprintf '{listed}'\n")
    said: list[str] = []
    worker = build(said.append)
    assert worker == locate()
    assert (worker.origin, worker.version) == ("built", VERSION)
    assert said[-1] == "starting the worker once"
    assert left_in(no_cache) == [cache.worker_folder().name]
    manifest = json.loads((worker.binary.parent / "manifest.json").read_text())
    assert manifest == {
        "version": VERSION,
        "origin": "built",
        "sha256": hashlib.sha256(real_binary.read_bytes()).hexdigest(),
        "recipe": cache.recipe_hash(),
        "libraries": {"libssl-dev": "3.0.19-1~deb12u1", "libuv1-dev": "1.44.2-1+deb12u1"},
    }


def test_what_was_built_and_does_not_work_is_not_kept(no_cache: Path, registry: Path, tmp_path: Path) -> None:
    make_compilers(registry, write_executable(tmp_path / "stand-in", RUNS))
    with pytest.raises(NativeError, match=r"ended: run `python -m worker_bridge.native build --force`"):
        build(lambda _: None)
    assert left_in(no_cache) == []


def test_nothing_is_fetched_but_the_package(no_cache: Path, registry: Path) -> None:
    said: list[str] = []
    with pytest.raises(NativeError, match="building the worker needs"):  # there is no compiler here
        build(said.append)
    assert [line for line in said if "fetching" in line] == [f"fetching mediasoup {VERSION} with npm"]
    assert left_in(no_cache) == []


def test_a_given_binary_gets_its_schema_and_nothing_else(
    no_cache: Path, registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write_executable(tmp_path / "given", "#!/bin/sh\nexit 41\n")
    monkeypatch.setenv("VOICEPLANE_WORKER_BIN", str(given))
    worker = build(lambda _: None)
    assert (worker.binary, worker.origin) == (given, "given")
    assert left_in(no_cache) == [f"{VERSION}-schema"]
    assert not (worker.schema.parent / "mediasoup-worker").exists()


def test_what_is_there_is_not_made_again(filled_cache: Path, no_tools: Path) -> None:
    said: list[str] = []
    assert build(said.append) == locate()
    assert said == []


def test_a_folder_that_lost_a_part_is_made_again(real_binary: Path, filled_cache: Path, registry: Path) -> None:
    make_compilers(registry, real_binary)
    (filled_cache / cache.SCHEMA_TEXT).rmdir()
    assert build(lambda _: None).binary == filled_cache / cache.BINARY
    assert (filled_cache / cache.SCHEMA_TEXT / "message.fbs").is_file()


def test_a_build_that_fails_leaves_no_trace(no_cache: Path, no_tools: Path) -> None:
    no_cache.mkdir(parents=True)
    (no_cache / ".build-killed" / "npm").mkdir(parents=True)  # by a build that could not tidy up
    with pytest.raises(NativeError, match="npm is missing"):
        build(lambda _: None)
    assert left_in(no_cache) == []


def test_a_forced_build_that_fails_leaves_the_old_worker(filled_cache: Path, no_tools: Path) -> None:
    before = locate()
    with pytest.raises(NativeError, match="npm is missing"):
        build(lambda _: None, force=True)
    assert locate() == before


def test_a_build_that_is_interrupted_leaves_no_trace(no_cache: Path, registry: Path) -> None:
    def interrupt(said: str) -> None:
        if "schema" in said:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(interrupt)
    assert left_in(no_cache) == []


def test_a_forced_build_takes_the_place_of_the_old_worker(
    real_binary: Path, filled_cache: Path, registry: Path
) -> None:
    make_compilers(registry, real_binary)
    assert cache.sha256_of(build(lambda _: None, force=True).binary) == cache.sha256_of(real_binary)
    assert left_in(cache.cache_root()) == [filled_cache.name]


def test_a_second_build_waits_for_the_first_and_takes_what_it_made(filled_cache: Path, no_tools: Path) -> None:
    waiting, said = threading.Event(), list[str]()

    def tell(line: str) -> None:
        said.append(line)
        waiting.set()

    away = filled_cache.rename(filled_cache.with_name("being-made"))
    with (cache.cache_root() / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = threading.Thread(target=build, args=(tell,))
        second.start()
        assert waiting.wait(10)
        away.rename(filled_cache)
    second.join(10)
    assert said == ["waiting for another build to end"]


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for name in cache.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(NativeError, match=r"can't be written \(Not a directory\): set XDG_CACHE_HOME"):
        build(lambda _: None)
