"""Recordings in a bucket, on a server that speaks S3, and on servers that refuse, fail or are slow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import boto3
import pytest
from aiohttp import web
from moto.server import ThreadedMotoServer

from app.recording import bucket as bucket_module
from app.recording.bucket import PART, Bucket
from app.recording.errors import NoStorage, NotStored, StorageError
from app.recording.storage import storage_at

NAME = "rec_0.opus"
URL = "s3://recordings/of/calls"
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
SOON = timedelta(seconds=1)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of a server that speaks S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Bucket]:
    """The bucket at an address."""

    def make(address: str) -> Bucket:
        for name, value in {**KEYS, "AWS_ENDPOINT_URL": address}.items():
            monkeypatch.setenv(name, value)
        found = storage_at(URL)
        assert isinstance(found, Bucket)
        return found

    return make


@pytest.fixture
def bucket(s3: str, at: Callable[[str], Bucket]) -> Iterator[Bucket]:
    made = at(s3)
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    client.create_bucket(Bucket="recordings")
    yield made
    for one in client.list_objects_v2(Bucket="recordings").get("Contents", ()):
        client.delete_object(Bucket="recordings", Key=one["Key"])
    client.delete_bucket(Bucket="recordings")
    client.close()


@asynccontextmanager
async def answering(handler: Handler) -> AsyncIterator[str]:
    """The address of a server that answers so, whatever it is asked."""
    app = web.Application(client_max_size=PART * 2)
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.fixture(params=[1000, 2 * PART + 5], ids=["whole", "in parts"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(bytes(range(251)) * (request.param // 251 + 1))
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / NAME
    path.write_bytes(b"sound")
    return path


async def content(bucket: Bucket, begin: int, end: int) -> bytes:
    return b"".join([some async for some in bucket.read(NAME, begin, end)])


async def test_what_is_put_there_is_there_below_the_prefix(bucket, source, s3):
    for _ in range(2):
        await bucket.put(NAME, source)
    size = source.stat().st_size
    assert await bucket.size(NAME) == size
    assert await content(bucket, 0, size) == source.read_bytes()
    assert await content(bucket, 10, 300) == source.read_bytes()[10:300]
    assert await content(bucket, 7, 7) == b""
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    assert [one["Key"] for one in client.list_objects_v2(Bucket="recordings")["Contents"]] == [f"of/calls/{NAME}"]
    client.close()


async def test_what_is_deleted_is_not_there_and_deleting_again_is_well(bucket, small):
    await bucket.put(NAME, small)
    for _ in range(2):
        await bucket.delete(NAME)
    for asked in (bucket.size(NAME), content(bucket, 0, 1)):
        with pytest.raises(NotStored):
            await asked


async def test_a_bucket_that_is_not_there_takes_nothing(s3, at, small):
    with pytest.raises(StorageError, match=r"NoSuchBucket|404"):
        await at(s3).put(NAME, small)


@pytest.mark.parametrize("status", [403, 500, 503])
async def test_a_server_that_refuses_is_an_error_that_says_so(status, at, small, monkeypatch):
    monkeypatch.setattr(bucket_module, "TRY_AGAIN_WITHIN", SOON)

    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=status, text="<Error><Code>Denied</Code></Error>" + "x" * 2000)

    async with answering(refuse) as address:
        bucket = at(address)
        for asked in (bucket.put(NAME, small), bucket.size(NAME), content(bucket, 0, 5), bucket.delete(NAME)):
            with pytest.raises(StorageError) as refused:
                await asked
            assert len(str(refused.value)) <= 300


async def test_a_server_that_fails_for_a_moment_is_asked_again(at, small):
    asked = 0

    async def fail_first(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        await request.read()
        size = str(small.stat().st_size)
        return web.Response(
            status=500 if asked == 1 else 200,
            headers={"ETag": '"x"', "Content-Length": size, "Last-Modified": "Sat, 31 Jan 2026 09:00:00 GMT"},
            body=None if request.method == "HEAD" else bytes(int(size)),
        )

    async with answering(fail_first) as address:
        await at(address).put(NAME, small)
    assert asked >= 2


async def test_a_server_that_does_not_answer_is_given_up(at, small, monkeypatch):
    monkeypatch.setattr(bucket_module, "TRY_AGAIN_WITHIN", SOON)
    monkeypatch.setattr(bucket_module, "ANSWER_WITHIN", SOON)
    stuck = asyncio.Event()

    async def wait(_: web.Request) -> web.Response:
        await stuck.wait()
        return web.Response()

    async with answering(wait) as address:
        with pytest.raises(StorageError):
            await at(address).put(NAME, small)
        stuck.set()


async def test_a_server_that_is_not_there_is_an_error(at, small, monkeypatch):
    monkeypatch.setattr(bucket_module, "TRY_AGAIN_WITHIN", SOON)
    with pytest.raises(StorageError):
        await at("http://127.0.0.1:9").put(NAME, small)


async def test_what_is_no_bucket_is_no_storage():
    with pytest.raises(NoStorage):
        storage_at("s3://")
