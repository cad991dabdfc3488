"""Folders that keep recordings: whole or not at all, for nobody else to read, and errors that say what is wrong."""

from __future__ import annotations

import errno
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.recording import storage as storage_module
from app.recording.errors import NotStored, StorageError
from app.recording.storage import CHUNK, Folder, Storage, storage_at

CONTENT = bytes(range(256)) * 5000


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "spool" / "rec.opus"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    path.chmod(0o600)
    return path


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[Storage]:
    made = storage_at(str(tmp_path / "kept"))
    assert isinstance(made, Folder)
    yield made
    await made.close()


async def content(storage: Storage, name: str, begin: int, end: int) -> bytes:
    return b"".join([some async for some in storage.read(name, begin, end)])


def no_link(*_: object) -> None:
    raise OSError(errno.EXDEV, "Invalid cross-device link")


@pytest.fixture(params=["the same disk", "another disk"])
def disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "another disk":
        monkeypatch.setattr(storage_module.os, "link", no_link)


@pytest.mark.usefixtures("disk")
async def test_what_is_put_there_is_there_and_nobody_else_can_read_it(storage, source, tmp_path):
    await storage.put("rec.opus", source)
    source.unlink()
    assert await storage.size("rec.opus") == len(CONTENT)
    assert await content(storage, "rec.opus", 0, len(CONTENT)) == CONTENT
    kept = tmp_path / "kept"
    assert [one.name for one in kept.iterdir()] == ["rec.opus"]
    assert (stat.S_IMODE(kept.stat().st_mode), stat.S_IMODE((kept / "rec.opus").stat().st_mode)) == (0o700, 0o600)


@pytest.mark.usefixtures("disk")
async def test_again_changes_nothing(storage, source):
    await storage.put("rec.opus", source)
    await storage.put("rec.opus", source)
    assert await content(storage, "rec.opus", 0, len(CONTENT)) == CONTENT


@pytest.mark.parametrize("span", [(0, 1), (CHUNK - 1, CHUNK + 1), (1_279_999, 1_280_000), (5, 5), (0, CHUNK)])
async def test_a_part_is_that_part(storage, source, span):
    await storage.put("rec.opus", source)
    assert await content(storage, "rec.opus", *span) == CONTENT[slice(*span)]


async def test_what_is_not_there_is_not_stored_and_gone_when_it_is_deleted(storage, source):
    for asked in (storage.size("rec.opus"), content(storage, "rec.opus", 0, 1)):
        with pytest.raises(NotStored):
            await asked
    await storage.delete("rec.opus")
    await storage.put("rec.opus", source)
    await storage.delete("rec.opus")
    with pytest.raises(NotStored):
        await storage.size("rec.opus")


async def test_a_copy_that_fails_leaves_nothing(storage, source, tmp_path, monkeypatch):
    monkeypatch.setattr(storage_module.os, "link", no_link)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage_module.shutil, "copyfileobj", full)
    with pytest.raises(StorageError, match="No space left"):
        await storage.put("rec.opus", source)
    assert list((tmp_path / "kept").iterdir()) == []


async def test_a_folder_that_can_t_be_made_is_an_error_of_the_storage(tmp_path, source):
    (tmp_path / "file").write_text("")
    storage = storage_at(str(tmp_path / "file" / "kept"))
    with pytest.raises(StorageError):
        await storage.put("rec.opus", source)
    await storage.close()


async def test_reading_leaves_no_file_open(storage, source):
    await storage.put("rec.opus", source)
    before = len(list(Path("/proc/self/fd").iterdir()))
    reading = storage.read("rec.opus", 0, len(CONTENT))
    await anext(reading)
    await reading.aclose()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
