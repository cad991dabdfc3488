"""A worker of each test's own, with a router on it; workers that misbehave; and far ends for media."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worker_bridge.rtp_peer import RtpPeer
from tests.worker_bridge.rtp_samples import OPUS, VP8
from worker_bridge.native import NativeWorker
from worker_bridge.router import Router
from worker_bridge.worker import Worker
from worker_bridge.worker_settings import LOG_TAGS, WorkerSettings

REPOSITORY = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("fake_worker.py")


@pytest.fixture
def worker_settings() -> WorkerSettings:
    """The usual ones; with ``WORKER_LOG=debug`` a worker that logs all it does. Tests have to pass either way."""
    if os.environ.get("WORKER_LOG") == "debug":
        return WorkerSettings(log_level="debug", log_tags=tuple(LOG_TAGS))
    return WorkerSettings()


@pytest.fixture
async def worker(native_worker: NativeWorker, worker_settings: WorkerSettings) -> AsyncIterator[Worker]:
    async with Worker.running(native_worker, worker_settings) as running:
        yield running


@pytest.fixture
async def router(worker: Worker) -> Router:
    return await worker.create_router([OPUS, VP8])


@pytest.fixture
def script(tmp_path: Path, native_worker: NativeWorker) -> Callable[[str], NativeWorker]:
    """A worker that is a shell script."""

    def make(text: str) -> NativeWorker:
        binary = tmp_path / "worker"
        binary.write_text(f"#!/bin/sh\n{text}\n")
        binary.chmod(0o755)
        return replace(native_worker, binary=binary)

    return make


@pytest.fixture
def fake(script: Callable[[str], NativeWorker], native_worker: NativeWorker) -> Callable[[str], NativeWorker]:
    """The worker that misbehaves in the mode of that name: see ``fake_worker``."""

    def make(mode: str) -> NativeWorker:
        command = shlex.join([sys.executable, str(FAKE), str(native_worker.schema), mode])
        return script(f'PYTHONPATH={shlex.quote(str(REPOSITORY))} exec {command} "$@"')

    return make


@pytest.fixture
def peers() -> Iterator[Callable[[], RtpPeer]]:
    """Makes far ends of plain transports, and closes them."""
    made: list[RtpPeer] = []

    def make() -> RtpPeer:
        made.append(RtpPeer())
        return made[-1]

    yield make
    for peer in made:
        peer.close()
