"""A prebuilt worker is taken where it can be had and runs, and is no error where not."""

from __future__ import annotations

import platform
import re
import tarfile
from pathlib import Path

import pytest
from stand_ins import RUNS, write_executable

from worker_bridge.native import cache
from worker_bridge.native.prebuilt import BASE_URL_VARIABLE, SKIP_VARIABLE, archive_name, fetch_prebuilt

VERSION = cache.worker_version()


@pytest.fixture
def releases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this release, as a server would offer it."""
    monkeypatch.delenv(SKIP_VARIABLE, raising=False)
    monkeypatch.setenv(BASE_URL_VARIABLE, (tmp_path / "releases").as_uri())
    folder = tmp_path / "releases" / VERSION
    folder.mkdir(parents=True)
    return folder


def offer(releases: Path, script: str, name: str = "mediasoup-worker") -> None:
    binary = write_executable(releases / "source", script)
    with tarfile.open(releases / archive_name(VERSION), "w:gz") as archive:
        archive.add(binary, name)


def test_a_binary_that_runs_is_taken(releases: Path, tmp_path: Path) -> None:
    offer(releases, RUNS)
    target = tmp_path / "mediasoup-worker"
    assert fetch_prebuilt(VERSION, target, lambda _: None)
    assert target.read_text() == RUNS
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".tgz"] == []


@pytest.mark.parametrize(
    ("script", "name", "reason"),
    [
        ("#!/bin/sh\nexit 127\n", "mediasoup-worker", "does not run on this system"),
        ("\x7fELF of another machine", "mediasoup-worker", "does not run on this system"),
        (RUNS, "something-else", "no prebuilt worker to be had"),
    ],
)
def test_what_does_not_run_or_is_no_worker_is_not_taken(
    releases: Path, tmp_path: Path, script: str, name: str, reason: str
) -> None:
    offer(releases, script, name)
    said: list[str] = []
    assert not fetch_prebuilt(VERSION, tmp_path / "mediasoup-worker", said.append)
    assert reason in said[-1]
    assert not (tmp_path / "mediasoup-worker").exists()


def test_an_archive_that_is_none_is_not_taken(releases: Path, tmp_path: Path) -> None:
    (releases / archive_name(VERSION)).write_bytes(b"<html>sign in first</html>")
    assert not fetch_prebuilt(VERSION, tmp_path / "mediasoup-worker", lambda _: None)


def test_a_release_without_a_binary_for_us_is_no_error(releases: Path, tmp_path: Path) -> None:
    said: list[str] = []
    assert not fetch_prebuilt(VERSION, tmp_path / "mediasoup-worker", said.append)
    assert said[-1].startswith("there is no prebuilt worker to be had")


def test_nothing_is_fetched_where_that_is_not_wanted(
    releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(releases, RUNS)
    monkeypatch.setenv(SKIP_VARIABLE, "true")
    assert not fetch_prebuilt(VERSION, tmp_path / "mediasoup-worker", lambda _: None)


@pytest.mark.parametrize(("machine", "name"), [("x86_64", "x64"), ("aarch64", "arm64"), ("riscv64", "riscv64")])
def test_archives_are_named_in_nodes_words(monkeypatch: pytest.MonkeyPatch, machine: str, name: str) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    assert re.fullmatch(rf"mediasoup-worker-3\.27\.1-linux-{name}-kernel\d+\.tgz", archive_name("3.27.1"))
