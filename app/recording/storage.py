"""Where recordings are kept: a folder, or a bucket that speaks S3. Both are asked alike; what they refuse is a
StorageError.

Names are made of a recording's id, and never of what a client has sent.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar
from urllib.parse import urlsplit

from app.private import make_private_folder
from app.recording.errors import NotStored, StorageError

CHUNK: Final = 256 * 1024  # bytes that are read at once
SUFFIX: Final = ".opus"

Result = TypeVar("Result")


class Storage(Protocol):
    async def put(self, name: str, source: Path) -> None:
        """Store a file as a whole, or not at all; again changes nothing. ``source`` stays. Raises StorageError."""

    async def size(self, name: str) -> int:
        """In bytes. Raises StorageError, NotStored."""

    def read(self, name: str, begin: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from ``begin`` up to ``end``. Raises StorageError, NotStored."""

    async def delete(self, name: str) -> None:
        """Delete it; where it is not there, that is well. Raises StorageError."""

    async def close(self) -> None: ...


def storage_at(url: str) -> Storage:
    """The storage at ``s3://bucket/prefix``, or in a folder. Raises NoStorage."""
    if urlsplit(url).scheme == "s3":
        from app.recording.bucket import Bucket

        return Bucket(url)
    return Folder(Path(url))


class Folder:
    """A folder that only we can read, on a disk or a share. It has threads of its own, so that one that hangs holds up
    nobody else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="recordings")

    async def put(self, name: str, source: Path) -> None:
        await self._run(self._put, name, source)

    async def size(self, name: str) -> int:
        return (await self._run(os.stat, self._folder / name)).st_size

    async def read(self, name: str, begin: int, end: int) -> AsyncIterator[bytes]:
        file = await self._run(os.open, self._folder / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while begin < end and (some := await self._run(os.pread, file, min(CHUNK, end - begin), begin)):
                begin += len(some)
                yield some
        finally:
            os.close(file)

    async def delete(self, name: str) -> None:
        with suppress(NotStored):
            await self._run(os.unlink, self._folder / name)

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _put(self, name: str, source: Path) -> None:
        make_private_folder(self._folder)
        if (self._folder / name).exists():
            return
        try:
            os.link(source, self._folder / name)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            copy(source, self._folder / name)
        sync(self._folder)

    async def _run(self, work: Callable[..., Result], *arguments: object) -> Result:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *arguments))
        except FileNotFoundError as error:
            raise NotStored(str(error)) from error
        except OSError as error:
            raise StorageError(str(error)) from error


def name_of(file_id: str) -> str:
    return f"{file_id}{SUFFIX}"


def copy(source: Path, target: Path) -> None:
    """To another disk: under another name first, so that what has the name is whole."""
    draft = target.with_suffix(".draft")
    try:
        with (
            source.open("rb") as read,
            os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as into,
        ):
            shutil.copyfileobj(read, into, CHUNK)
            into.flush()
            os.fsync(into.fileno())
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def sync(folder: Path) -> None:
    """Write the folder itself to the disk, so that it knows its new file after a power failure."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
