"""The database and the disk below it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from app.ledger import schema_status, sqlite_file
from app.ledger.errors import LedgerError
from app.settings import Settings
from voiceplane.doctor.finding import Finding, fail, ok, warn

CHECK = "database"
MIB = 1 << 20
LITTLE, HARDLY = 1024 * MIB, 100 * MIB  # bytes free: warn, fail


async def database(settings: Settings) -> Finding:
    """Does it answer, is it of this release, and can it be written? None is made."""
    file = sqlite_file(settings.database_url)
    if file is not None and (early := before_opening(file)):
        return early
    try:
        found = await schema_status(settings.database_url)
    except LedgerError as error:
        remote = "correct VOICEPLANE_DATABASE_URL, or start the database"
        return fail(CHECK, str(error), "restore a backup, or move the file away" if file else remote)
    where = str(file) if file else "PostgreSQL"
    if not found.usable:
        mend = "run the release that wrote it, or restore the backup from before"
        return fail(CHECK, f"{where} has schema {found.revision}, of a later release", mend)
    if not found.writable:
        return fail(
            CHECK, f"{where} takes no writes", "point VOICEPLANE_DATABASE_URL at the primary, with its owner's rights"
        )
    if found.revision is None:
        return ok(CHECK, f"{where} is empty: its tables are made at the first start")
    if found.revision > found.head:
        return ok(CHECK, f"{where} answers, with schema {found.revision} of a later release, which this one may use")
    if found.revision != found.head:
        mend = "back it up before you start this release"
        return warn(CHECK, f"{where} has schema {found.revision}; the next start brings it to {found.head}", mend)
    return ok(CHECK, f"{where} answers, with schema {found.revision}")


def before_opening(file: Path) -> Finding | None:
    """The finding about an SQLite file that can be had without opening it, which would make it; None where all is
    well."""
    folder = nearest(file.parent)
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail(
            CHECK, f"{folder} can't be written", "chown it to whom the node runs as, or set VOICEPLANE_DATA_DIR"
        )
    if not file.exists():
        return ok(CHECK, f"{file} is made at the first start")
    unwritable = [
        one for one in (file, file.with_name(f"{file.name}-wal")) if one.exists() and not os.access(one, os.W_OK)
    ]
    return fail(CHECK, f"{unwritable[0]} can't be written", "chown it to whom the node runs as") if unwritable else None


async def disk(settings: Settings) -> Finding:
    """Is there room where the data folder is?"""
    folder = nearest(settings.data_dir)
    free = shutil.disk_usage(folder).free
    found = f"{free // MIB} MiB free at {folder}"
    if free < HARDLY:
        return fail("disk", found, "make room: a charge that can't be stored is not made")
    if free < LITTLE:
        return warn("disk", found, "make room before it is gone: a charge that can't be stored is not made")
    return ok("disk", found)


def nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.is_dir())
