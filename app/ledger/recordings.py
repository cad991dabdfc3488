"""Which calls are recorded, and the files that come of it: one for each party, node and beginning. Knows no disk, and
no sound.

What back ends are told of a file goes with the change that it tells of.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from app.ledger import events
from app.ledger.database import Database
from app.ledger.notices import RecordingFailed, RecordingReady
from app.ledger.tables import call_recordings, calls, insert_or_replace, insert_unless_there, recordings
from app.ledger.values import Event, NewEvent
from schemas.recording import FileState, RecordingState
from schemas.types import PartyRole

AT_ONCE = 100  # rows in one answer


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecording:
    """Whether a call is recorded; who asked for it, why and when. ``told`` is whether its parties know that it has
    begun."""

    call_id: str
    state: RecordingState
    asked_by: str
    reason: str
    asked_at_ms: int
    told: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFile:
    """A file. ``node`` is the incarnation that has written it last; the call is that of its row."""

    id: str
    call_id: str
    role: PartyRole
    part: int
    node: str
    began_at_ms: int
    state: FileState = "recording"
    duration_ms: int | None = None
    bytes: int | None = None
    error: str | None = None
    told_failed: bool = False
    expires_at_ms: int | None = None


class Recordings:
    """A part of the ledger. Each method is one transaction; those that tell clients return the events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, asked: CallRecording) -> None:
        """Store that a call is to be recorded, in place of what was said before."""
        await self._database.write(_ask, asked)

    async def ask_first(self, asked: CallRecording) -> bool:
        """The same, unless something was said before. Returns whether it is stored."""
        return await self._database.write(_ask_first, asked)

    async def asked(self, call_id: str) -> CallRecording | None:
        """What was said last of a call; None where nothing was."""
        return await self._database.read(_asked, call_id)

    async def forget(self, call_id: str) -> None:
        """What was said of a call that was not opened after all."""
        await self._database.write(_forget, call_id)

    async def change(
        self, call_id: str, state: RecordingState, told: Sequence[NewEvent], at_ms: int
    ) -> tuple[Event, ...]:
        """Store that a call's recording is paused, goes on or is over."""
        return await self._database.write(_change, call_id, state, told, at_ms)

    async def begin(
        self, files: Sequence[RecordingFile], told: Sequence[NewEvent], at_ms: int
    ) -> tuple[Sequence[RecordingFile], tuple[Event, ...]]:
        """Store files that begin, each as the next part of its leg; they come back with their numbers. The parties are
        told once. Files that are stored already stay as they are."""
        return await self._database.write(_begin, files, told, at_ms)

    async def go_on(self, ids: Collection[str], node: str) -> None:
        """Store that a node goes on with files that it has found."""
        await self._database.write(_go_on, ids, node)

    async def finish(self, file_id: str, duration_ms: int, size: int) -> None:
        """A file is whole."""
        await self._database.write(_finish, file_id, duration_ms, size)

    async def store(self, file_id: str, at_ms: int, expires_at_ms: int | None) -> bool:
        """A file is in the storage; back ends are told, once. Returns False where the file was removed meanwhile."""
        return await self._database.write(_store, file_id, at_ms, expires_at_ms)

    async def fail(self, file_id: str, error: str, at_ms: int, *, final: bool) -> None:
        """A file can't be written or stored, now or at all; back ends are told, once for each of both."""
        await self._database.write(_fail, file_id, error, at_ms, final)

    async def of_call(self, call_id: str) -> tuple[RecordingFile, ...]:
        """The user's first, then by parts."""
        return await self._database.read(_of_call, call_id)

    async def file(self, file_id: str) -> RecordingFile | None:
        return await self._database.read(_file, file_id)

    async def remove(self, file_id: str) -> None:
        await self._database.write(_remove, file_id)

    async def expired(self, now_ms: int) -> tuple[RecordingFile, ...]:
        """Some of the files whose time is over."""
        return await self._database.read(_expired, now_ms)

    async def abandoned(self, before_ms: int) -> tuple[RecordingFile, ...]:
        """Some of the files that nobody has finished, of calls that ended before that."""
        return await self._database.read(_abandoned, before_ms)


def _ask(tx: Connection, asked: CallRecording) -> None:
    tx.execute(insert_or_replace(tx, call_recordings), [asdict(asked)])


def _ask_first(tx: Connection, asked: CallRecording) -> bool:
    return tx.execute(insert_unless_there(tx.dialect, call_recordings), asdict(asked)).rowcount == 1


def _asked(tx: Connection, call_id: str) -> CallRecording | None:
    row = tx.execute(select(call_recordings).where(call_recordings.c.call_id == call_id)).mappings().one_or_none()
    return None if row is None else CallRecording(**row)


def _forget(tx: Connection, call_id: str) -> None:
    tx.execute(delete(call_recordings).where(call_recordings.c.call_id == call_id))


def _change(
    tx: Connection, call_id: str, state: RecordingState, told: Sequence[NewEvent], at_ms: int
) -> tuple[Event, ...]:
    row = call_recordings.c
    tx.execute(update(call_recordings).where(row.call_id == call_id).values(state=state))
    return events.append(tx, events.drafts(told, at_ms))


def _begin(
    tx: Connection, files: Sequence[RecordingFile], told: Sequence[NewEvent], at_ms: int
) -> tuple[Sequence[RecordingFile], tuple[Event, ...]]:
    call_id = files[0].call_id
    row = tx.execute(select(call_recordings).where(call_recordings.c.call_id == call_id).with_for_update()).mappings()
    asked = row.one()
    before = _of_call(tx, call_id)
    known = {one.id: one for one in before}
    if files[0].id in known:  # an earlier try was stored after all
        return [known[one.id] for one in files], ()
    part = 1 + max((one.part for one in before), default=0)
    tx.execute(insert(recordings), [asdict(one) | {"part": part} for one in files])
    made = [one for one in _of_call(tx, call_id) if one.part == part]
    if asked["told"]:
        return made, ()
    tx.execute(update(call_recordings).where(call_recordings.c.call_id == call_id).values(told=True))
    return made, events.append(tx, events.drafts(told, at_ms))


def _go_on(tx: Connection, ids: Collection[str], node: str) -> None:
    tx.execute(update(recordings).where(recordings.c.id.in_(list(ids))).values(node=node))


def _finish(tx: Connection, file_id: str, duration_ms: int, size: int) -> None:
    unfinished = (recordings.c.id == file_id, recordings.c.state == "recording")
    tx.execute(update(recordings).where(*unfinished).values(state="finished", duration_ms=duration_ms, bytes=size))


def _store(tx: Connection, file_id: str, at_ms: int, expires_at_ms: int | None) -> bool:
    file = _locked(tx, file_id)
    if file is None or file.state == "stored":
        return file is not None
    changed = {"state": "stored", "error": None, "expires_at_ms": expires_at_ms}
    tx.execute(update(recordings).where(recordings.c.id == file_id).values(changed))
    call = _call(tx, file)
    ready = RecordingReady(
        file.id, file.call_id, call["user_id"], call["otomo_id"], file.role, file.part,
        file.duration_ms or 0, file.bytes or 0, expires_at_ms, at_ms,
    )  # fmt: skip
    events.append(tx, (), [ready])
    return True


def _fail(tx: Connection, file_id: str, error: str, at_ms: int, final: bool) -> None:
    file = _locked(tx, file_id)
    if file is None or file.state in ("stored", "failed"):
        return
    state = "failed" if final else file.state
    tx.execute(update(recordings).where(recordings.c.id == file_id).values(state=state, error=error, told_failed=True))
    if file.told_failed and not final:
        return
    call = _call(tx, file)
    failed = RecordingFailed(
        file.id, file.call_id, call["user_id"], call["otomo_id"], file.role, file.part, error, not final, at_ms
    )
    events.append(tx, (), [failed])


def _call(tx: Connection, file: RecordingFile) -> RowMapping:
    return tx.execute(select(calls.c.user_id, calls.c.otomo_id).where(calls.c.id == file.call_id)).mappings().one()


def _locked(tx: Connection, file_id: str) -> RecordingFile | None:
    return _one(tx, select(recordings).where(recordings.c.id == file_id).with_for_update())


def _file(tx: Connection, file_id: str) -> RecordingFile | None:
    return _one(tx, select(recordings).where(recordings.c.id == file_id))


def _one(tx: Connection, query: Any) -> RecordingFile | None:
    row = tx.execute(query).mappings().one_or_none()
    return None if row is None else RecordingFile(**row)


def _of_call(tx: Connection, call_id: str) -> tuple[RecordingFile, ...]:
    rows = tx.execute(select(recordings).where(recordings.c.call_id == call_id)).mappings()
    return tuple(sorted((RecordingFile(**row) for row in rows), key=lambda one: (one.role != "user", one.part)))


def _remove(tx: Connection, file_id: str) -> None:
    tx.execute(delete(recordings).where(recordings.c.id == file_id))


def _expired(tx: Connection, now_ms: int) -> tuple[RecordingFile, ...]:
    query = select(recordings).where(recordings.c.expires_at_ms <= now_ms).order_by(recordings.c.expires_at_ms)
    return tuple(RecordingFile(**row) for row in tx.execute(query.limit(AT_ONCE)).mappings())


def _abandoned(tx: Connection, before_ms: int) -> tuple[RecordingFile, ...]:
    ended = select(calls.c.id).where(calls.c.ended_at_ms < before_ms)
    query = select(recordings).where(recordings.c.state == "recording", recordings.c.call_id.in_(ended))
    return tuple(RecordingFile(**row) for row in tx.execute(query.limit(AT_ONCE)).mappings())
