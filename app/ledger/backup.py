"""Copies an SQLite ledger while it is in use: the copy is whole, or not there at all."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from app.ledger.backend import sqlite_file
from app.ledger.errors import BadDatabaseUrl, LedgerUnavailable

PAGES = 1024  # copied at a time (4 MiB); the node's own commits get their turn in between
WAIT_S = 5.0  # for a lock
Progress = Callable[[int, int], None]
"""How many pages are copied, and of how many."""


def back_up(url: str, target: Path, progress: Progress = lambda _done, _total: None) -> None:
    """Copy the database at ``url`` to ``target``, which must not be there yet, and have SQLite check the copy.

    Raises BadDatabaseUrl where the database is no file, LedgerUnavailable where it can't be read, or the copy can't be
    written or is damaged.
    """
    source = sqlite_file(url)
    if source is None:
        raise BadDatabaseUrl("only an SQLite database is a file: for PostgreSQL use pg_dump")
    if not source.is_file():
        raise LedgerUnavailable(f"there is no database {source}")
    if target.exists():
        raise LedgerUnavailable(f"{target} is there already")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as scratch:
            draft = Path(scratch) / target.name
            copy(source, draft, progress)
            draft.chmod(0o600)
            draft.rename(target)
        sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise LedgerUnavailable(f"{source} can't be copied to {target}: {error}") from error


def copy(source: Path, draft: Path, progress: Progress) -> None:
    """SQLite's online backup (sqlite.org/backup.html): it includes what is committed meanwhile."""
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=WAIT_S)) as ours,
        closing(sqlite3.connect(draft)) as theirs,
    ):
        ours.backup(theirs, pages=PAGES, progress=lambda _, left, total: progress(total - left, total), sleep=0.001)
        theirs.execute("PRAGMA journal_mode = DELETE")  # one file, with nothing beside it
        verdict = theirs.execute("PRAGMA integrity_check").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"the copy is not sound: {verdict}")
    with draft.open("rb") as file:
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Have the file's new name on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
