"""Which worker is found, and what is said when none is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.worker_bridge.native.stand_ins import RUNS, write_executable
from worker_bridge.errors import NativeError, VersionMismatch
from worker_bridge.native import build, cache, locate

VERSION = cache.worker_version()


def test_an_empty_cache_says_how_to_fill_it(no_cache: Path) -> None:
    with pytest.raises(NativeError, match=r"run `python -m worker_bridge.native build`, or set VOICEPLANE_WORKER_BIN"):
        locate()
    assert not no_cache.exists()  # looking leaves no trace


def test_the_cached_worker_is_found(filled_cache: Path) -> None:
    worker = locate()
    assert worker.binary == filled_cache / "mediasoup-worker"
    assert worker.schema == filled_cache / "message.bfbs"
    assert (worker.version, worker.origin) == (VERSION, "built")


def test_a_cached_binary_that_was_changed_is_refused(filled_cache: Path) -> None:
    (filled_cache / cache.BINARY).write_text(RUNS + "#")
    with pytest.raises(
        NativeError, match=r"is not the one that was put there: run `python -m worker_bridge.native build --force`"
    ):
        locate()


@pytest.mark.parametrize("lost", [cache.BINARY, cache.SCHEMA, cache.MANIFEST])
def test_a_cache_folder_that_lacks_something_counts_as_empty(filled_cache: Path, lost: str) -> None:
    (filled_cache / lost).unlink()
    with pytest.raises(NativeError, match="there is no mediasoup worker"):
        locate()


def test_a_named_binary_comes_before_the_environment_and_that_before_the_cache(
    filled_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs, named = (write_executable(tmp_path / name / "worker", RUNS) for name in "abc")
    monkeypatch.setenv("MEDIASOUP_WORKER_BIN", str(theirs))
    assert locate().binary == theirs
    monkeypatch.setenv("VOICEPLANE_WORKER_BIN", str(ours))
    assert locate().binary == ours
    worker = locate(str(named))
    assert (worker.binary, worker.origin) == (named, "given")
    assert worker.schema == filled_cache / cache.SCHEMA


def test_the_worker_of_a_wheel_comes_before_the_cache_and_after_what_is_named(
    filled_cache: Path, packaged: Path, tmp_path: Path
) -> None:
    worker = locate()
    assert (worker.binary, worker.schema, worker.origin) == (
        packaged / cache.BINARY,
        packaged / cache.SCHEMA,
        "packaged",
    )
    named = write_executable(tmp_path / "own" / "worker", RUNS)
    assert locate(str(named)).binary == named


def test_the_schema_of_a_wheel_serves_a_named_binary(no_cache: Path, packaged: Path, tmp_path: Path) -> None:
    assert locate(str(write_executable(tmp_path / "worker", RUNS))).schema == packaged / cache.SCHEMA


def test_a_worker_of_a_wheel_is_not_built_again(no_cache: Path, no_tools: Path, packaged: Path) -> None:
    assert build(lambda _: None, force=True).binary == packaged / cache.BINARY
    assert not no_cache.exists()


@pytest.mark.parametrize("lost", [cache.BINARY, cache.SCHEMA])
def test_a_wheels_worker_that_was_changed_is_refused(filled_cache: Path, packaged: Path, lost: str) -> None:
    (packaged / lost).unlink()
    with pytest.raises(NativeError, match=r"is not the one that was installed: install it again"):
        locate()


def test_an_empty_variable_is_as_good_as_none(filled_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEPLANE_WORKER_BIN", "")
    assert locate().binary == filled_cache / cache.BINARY


def test_a_given_binary_without_a_schema_says_how_to_get_one(no_cache: Path, tmp_path: Path) -> None:
    with pytest.raises(NativeError, match=r"the schema .* is missing: run `python -m worker_bridge.native build`"):
        locate(str(write_executable(tmp_path / "worker", RUNS)))


def test_a_copied_cache_folder_is_whole_by_itself(filled_cache: Path, tmp_path: Path) -> None:
    copy = tmp_path / "image" / "worker"
    shutil.copytree(filled_cache, copy)
    shutil.rmtree(filled_cache)
    assert locate(str(copy / cache.BINARY)).schema == copy / cache.SCHEMA


def test_a_binary_that_is_not_there_or_may_not_run_is_named(
    no_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "nowhere"
    monkeypatch.setenv("VOICEPLANE_WORKER_BIN", str(missing))
    with pytest.raises(NativeError, match=f"VOICEPLANE_WORKER_BIN is {missing}, where there is no file"):
        locate()
    missing.write_text("no program")
    with pytest.raises(NativeError, match=r"may not be executed: make it executable"):
        locate()


@pytest.mark.parametrize("version", ["3.19.3", VERSION])
def test_the_npm_package_around_a_binary_tells_its_release(filled_cache: Path, tmp_path: Path, version: str) -> None:
    package = tmp_path / "node_modules" / "mediasoup"
    binary = write_executable(package / "worker" / "out" / "Release" / "mediasoup-worker", RUNS)
    (package / "package.json").write_text(json.dumps({"name": "mediasoup", "version": version}))
    if version == VERSION:
        assert locate(str(binary)).version == VERSION
        return
    with pytest.raises(VersionMismatch, match=f"is of mediasoup {version}, but the bridge speaks {VERSION}"):
        locate(str(binary))


def test_the_manifest_beside_a_binary_tells_its_release(filled_cache: Path, tmp_path: Path) -> None:
    binary = write_executable(tmp_path / "old" / "mediasoup-worker", RUNS)
    cache.Manifest("3.23.0", "built", "", "").write(binary.parent)
    with pytest.raises(VersionMismatch, match=r"is of mediasoup 3\.23\.0"):
        locate(str(binary))


def test_another_projects_package_tells_nothing(filled_cache: Path, tmp_path: Path) -> None:
    binary = write_executable(tmp_path / "project" / "bin" / "mediasoup-worker", RUNS)
    (tmp_path / "project" / "package.json").write_text('{"name": "something", "version": "1.0.0"}')
    assert locate(str(binary)).version == VERSION


def test_the_cache_stays_in_the_home_folder_if_the_variable_is_no_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert cache.cache_root() == tmp_path / ".cache" / "voiceplane" / "worker"
