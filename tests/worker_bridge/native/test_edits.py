"""Changes of the worker's sources are made where they fit once, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from worker_bridge.errors import NativeError
from worker_bridge.native import cache, edits

VERSION = cache.worker_version()
TEXT = "".join(f"{edit.before} // {edit.name}\n" for edit in edits.EDITS)


def write_package(folder: Path, text: str, version: str = VERSION) -> Path:
    """All changes are of one file."""
    (name,) = {edit.file for edit in edits.EDITS}
    source = folder / "worker" / name
    source.parent.mkdir(parents=True)
    source.write_text(text)
    (folder / "package.json").write_text(json.dumps({"name": "mediasoup", "version": version}))
    return source


def test_each_change_is_made_once_and_the_rest_is_as_it_was(tmp_path: Path) -> None:
    source = write_package(tmp_path, f"before\n{TEXT}after\n")
    edits.edit_sources(tmp_path, VERSION)
    changed = "".join(f"{edit.after} // {edit.name}\n" for edit in edits.EDITS)
    assert source.read_text() == f"before\n{changed}after\n"


@pytest.mark.parametrize("times", [0, 2])
@pytest.mark.parametrize("edit", edits.EDITS, ids=lambda edit: edit.name)
def test_a_change_that_does_not_fit_stops_the_build_and_nothing_is_changed(
    tmp_path: Path, edit: edits.Edit, times: int
) -> None:
    text = TEXT.replace(edit.before, edit.before * times)
    source = write_package(tmp_path, text)
    with pytest.raises(NativeError, match=f"{times} times, not once: .* change for {edit.name}, and correct edits.py"):
        edits.edit_sources(tmp_path, VERSION)
    assert source.read_text() == text


def test_other_releases_are_left_alone(tmp_path: Path) -> None:
    source = write_package(tmp_path, TEXT, "3.28.0")
    with pytest.raises(NativeError, match=r"is mediasoup 3\.28\.0, not mediasoup"):
        edits.edit_sources(tmp_path, VERSION)
    assert source.read_text() == TEXT
