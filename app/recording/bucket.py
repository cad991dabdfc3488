"""A bucket that speaks S3, by obstore, which is installed where it is wanted: Amazon's, MinIO, R2 and others.

What it needs besides the URL comes from the environment, as for every program of S3: AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL, or what the machine it runs on is given.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from app.recording.errors import NoStorage, NotStored, StorageError

try:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store
except ImportError as error:
    raise NoStorage("s3:// needs obstore: pip install 'voiceplane[s3]'") from error

PART: Final = 8 * 1024 * 1024  # bytes of a part; what is smaller goes as a whole
CONNECT_WITHIN: Final = timedelta(seconds=5)
ANSWER_WITHIN: Final = timedelta(seconds=60)
TRY_AGAIN_WITHIN: Final = timedelta(seconds=30)


class Bucket:
    def __init__(self, url: str) -> None:
        """Raises NoStorage where the URL or the environment makes no bucket."""
        try:
            self._store = S3Store.from_url(
                url,
                client_options={
                    "connect_timeout": CONNECT_WITHIN,
                    "timeout": ANSWER_WITHIN,
                    "allow_http": os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"),
                },
                retry_config={"max_retries": 5, "retry_timeout": TRY_AGAIN_WITHIN},
            )
        except (BaseError, OSError, ValueError) as error:
            raise NoStorage(first_line(error)) from error

    async def put(self, name: str, source: Path) -> None:
        with refusals():
            await obstore.put_async(self._store, name, source, chunk_size=PART, max_concurrency=2)
        if (stored := await self.size(name)) != source.stat().st_size:
            raise StorageError(f"{stored} bytes of {name} are stored, of {source.stat().st_size}")

    async def size(self, name: str) -> int:
        with refusals():
            return int((await obstore.head_async(self._store, name))["size"])

    async def read(self, name: str, begin: int, end: int) -> AsyncIterator[bytes]:
        if begin >= end:
            return
        with refusals():
            answer = await obstore.get_async(self._store, name, options={"range": (begin, end)})
            async for some in answer.stream():
                yield bytes(some)

    async def delete(self, name: str) -> None:
        try:
            with refusals():
                await obstore.delete_async(self._store, name)
        except NotStored:
            pass

    async def close(self) -> None:
        """Its connections end with their time."""


@contextmanager
def refusals() -> Iterator[None]:
    """Raises StorageError for what the library raises, in its first line."""
    try:
        yield
    except (FileNotFoundError, obstore.exceptions.NotFoundError) as error:
        raise NotStored(first_line(error)) from error
    except (BaseError, OSError, ValueError) as error:
        raise StorageError(first_line(error)) from error


def first_line(error: Exception) -> str:
    """What a service of S3 answers may be long, and a page of HTML."""
    text = " ".join(str(error).split())
    return text if len(text) <= 300 else f"{text[:299]}…"
