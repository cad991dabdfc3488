"""What becomes of files in the spool, whatever the storage, the ledger and the process before did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.clock import now
from app.ledger import Ledger
from app.ledger.errors import LedgerUnavailable
from app.ledger.recordings import CallRecording, RecordingFile
from app.media.opus import RATE
from app.recording.errors import StorageError
from app.recording.filling import SILENCE
from app.recording.spool import PRE_SKIP, SpoolFile
from app.recording.storage import Folder, name_of
from app.recording.uploads import DAY_MS, TRY_AGAIN_S, Uploads
from tests.app.ledger.ledger_samples import NODE, end, talking
from tests.app.recording.judges import faults_in, heard_in

DAYS = 30


class Troubled(Folder):
    """A folder that refuses as long as it is told to."""

    refuses = ""
    puts = 0

    async def put(self, name: str, source: Path) -> None:
        self.puts += 1
        if self.refuses:
            raise StorageError(self.refuses)
        await super().put(name, source)

    async def delete(self, name: str) -> None:
        if self.refuses:
            raise StorageError(self.refuses)
        await super().delete(name)


class Depot:
    """The uploads of a node with a ledger, and what a test knows of them."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger = ledger
        self.spool = folder / "spool"
        self.spool.mkdir()
        self.storage = Troubled(folder / "kept")
        self.live: set[str] = set()
        self.uploads = Uploads(ledger, self.storage, self.spool, DAYS, self.live.__contains__)

    async def file(self, file_id: str = "rec_a", role: Any = "user", call_id: str = "call") -> SpoolFile:
        """A file that somebody writes; it has three seconds."""
        asked = CallRecording(call_id=call_id, state="recording", asked_by="root", reason="why", asked_at_ms=1)
        await self.ledger.recordings.ask_first(asked)
        row = RecordingFile(id=file_id, call_id=call_id, role=role, part=0, node="node", began_at_ms=1)
        await self.ledger.recordings.begin([row], (), 1)
        file = SpoolFile.create(self.spool / name_of(file_id), {})
        for _ in range(3):
            file.append([SILENCE] * 50)
        return file

    async def finished(self, file_id: str = "rec_a", **about: Any) -> None:
        file = await self.file(file_id, **about)
        file.finish(3 * RATE)
        await self.ledger.recordings.finish(file_id, 3000, file.size)
        file.close()

    async def state(self, file_id: str = "rec_a") -> str | None:
        found = await self.ledger.recordings.file(file_id)
        return None if found is None else found.state

    def in_spool(self) -> list[str]:
        return sorted(path.name for path in self.spool.iterdir())


@pytest.fixture
async def depot(tmp_path: Path) -> AsyncIterator[Depot]:
    async with Ledger.open(f"sqlite:///{tmp_path}/ledger.sqlite", node=NODE) as ledger:
        await talking(ledger)
        made = Depot(ledger, tmp_path)
        yield made
        await made.storage.close()


async def test_a_finished_file_is_stored_and_then_here_no_more(depot):
    await depot.finished()
    await depot.uploads.store_due()
    assert (await depot.state(), depot.in_spool()) == ("stored", [])
    row = await depot.ledger.recordings.file("rec_a")
    assert row.expires_at_ms == pytest.approx(now().utc_ms + DAYS * DAY_MS, abs=60_000)
    assert await depot.uploads.size(row) == row.bytes


async def test_what_is_being_written_is_left_alone(depot):
    file = await depot.file()
    await depot.uploads.store_due()
    assert (await depot.state(), depot.in_spool()) == ("recording", ["rec_a.opus"])
    file.close()


async def test_what_a_call_of_this_node_goes_on_with_is_left_alone(depot):
    (await depot.file()).close()
    depot.live.add("call")
    await depot.uploads.store_due()
    assert await depot.state() == "recording"


async def test_what_a_crash_left_ends_where_it_was_cut_off(depot):
    (await depot.file()).close()
    with (depot.spool / "rec_a.opus").open("ab") as file:
        file.write(b"OggS\0\0half a page")
    await depot.uploads.store_due()
    assert await depot.state() == "stored"
    kept = depot.storage._folder / "rec_a.opus"
    assert faults_in(kept) == []
    assert heard_in(kept) == pytest.approx(3.0 - PRE_SKIP / RATE, abs=0.001)


async def test_what_a_crash_left_of_a_call_that_has_ended_is_as_long_as_the_call(depot):
    (await depot.file()).close()
    await end(depot.ledger)
    call = await depot.ledger.call("call")
    await depot.uploads.store_due()
    row = await depot.ledger.recordings.file("rec_a")
    assert row.state == "stored"
    assert row.duration_ms == call.ended_at_ms - call.connected_at_ms
    assert heard_in(depot.storage._folder / "rec_a.opus") == pytest.approx(row.duration_ms / 1000, abs=0.001)


async def test_a_file_with_nothing_in_it_has_failed(depot):
    (await depot.file()).close()
    (depot.spool / "rec_a.opus").write_bytes(b"")
    await depot.uploads.store_due()
    assert (await depot.state(), depot.in_spool()) == ("failed", [])


async def test_a_storage_that_refuses_is_asked_again_later(depot, monkeypatch):
    await depot.finished()
    depot.storage.refuses = "403 Forbidden: AccessDenied"
    await depot.uploads.store_due()
    row = await depot.ledger.recordings.file("rec_a")
    assert (row.state, row.error, depot.in_spool()) == ("finished", depot.storage.refuses, ["rec_a.opus"])
    assert (depot.uploads.waiting, depot.uploads.failures) == (1, 1)
    await depot.uploads.store_due()
    assert depot.storage.puts == 1, "not at once"
    depot.storage.refuses = ""
    depot.uploads._tries["rec_a"] = (1, now().monotonic)
    await depot.uploads.store_due()
    row = await depot.ledger.recordings.file("rec_a")
    assert (row.state, row.error, depot.in_spool(), depot.uploads.waiting) == ("stored", None, [], 0)


async def test_it_waits_longer_each_time(depot):
    await depot.finished()
    depot.storage.refuses = "gone"
    waits = []
    for _ in range(6):
        began = now().monotonic
        await depot.uploads.store_due()
        tries, due = depot.uploads._tries["rec_a"]
        waits.append(round(due - began))
        depot.uploads._tries["rec_a"] = (tries, 0.0)
    assert waits == [*map(round, TRY_AGAIN_S), 1800, 1800]


async def test_one_that_fails_holds_up_no_other(depot):
    await depot.finished("rec_a")
    depot.storage.refuses = "gone"
    await depot.uploads.store_due()
    depot.storage.refuses = ""
    await depot.finished("rec_b")
    await depot.uploads.store_due()
    assert (await depot.state("rec_a"), await depot.state("rec_b")) == ("finished", "stored")


async def test_a_ledger_that_does_not_answer_is_asked_again_later(depot, monkeypatch):
    await depot.finished()

    async def unavailable(*_: object) -> None:
        raise LedgerUnavailable("locked")

    with monkeypatch.context() as patched:
        patched.setattr(depot.ledger.recordings, "store", unavailable)
        await depot.uploads.store_due()
    assert (await depot.state(), depot.in_spool()) == ("finished", ["rec_a.opus"])
    depot.uploads._tries.clear()
    await depot.uploads.store_due()
    assert (await depot.state(), depot.in_spool()) == ("stored", [])


async def test_what_was_deleted_before_it_was_stored_is_not_stored(depot):
    await depot.finished()
    await depot.uploads.delete(await depot.ledger.recordings.file("rec_a"))
    await depot.uploads.store_due()
    assert (await depot.state(), depot.in_spool(), depot.storage.puts) == (None, [], 0)


async def test_what_can_t_be_deleted_now_is_still_there(depot):
    await depot.finished()
    await depot.uploads.store_due()
    row = await depot.ledger.recordings.file("rec_a")
    depot.storage.refuses = "503 SlowDown"
    with pytest.raises(StorageError, match="SlowDown"):
        await depot.uploads.delete(row)
    assert await depot.state() == "stored"
    depot.storage.refuses = ""
    await depot.uploads.delete(row)
    assert await depot.state() is None
    assert list(depot.storage._folder.iterdir()) == []


async def test_what_is_too_old_goes(depot, monkeypatch):
    await depot.finished("rec_a")
    await depot.uploads.store_due()
    await depot.uploads.expire_due()
    assert await depot.state() == "stored"
    later = now().utc_ms + (DAYS + 1) * DAY_MS
    monkeypatch.setattr("app.recording.uploads.now", lambda: Later(later))
    await depot.uploads.expire_due()
    assert (await depot.state(), list(depot.storage._folder.iterdir())) == (None, [])


class Later:
    """The moment of that UTC time."""

    def __init__(self, utc_ms: int) -> None:
        self.utc_ms = utc_ms
        self.monotonic = now().monotonic


async def test_what_no_node_has_any_more_has_failed_after_a_day(depot, monkeypatch):
    (await depot.file()).close()
    (depot.spool / "rec_a.opus").unlink()
    await end(depot.ledger)
    ended_at_ms = (await depot.ledger.call("call")).ended_at_ms
    monkeypatch.setattr("app.recording.uploads.now", lambda: Later(ended_at_ms + DAY_MS))
    await depot.uploads.expire_due()
    assert await depot.state() == "recording"
    monkeypatch.setattr("app.recording.uploads.now", lambda: Later(ended_at_ms + DAY_MS + 1))
    await depot.uploads.expire_due()
    row = await depot.ledger.recordings.file("rec_a")
    assert (row.state, row.error) == ("failed", "the node that wrote it has not come back")
