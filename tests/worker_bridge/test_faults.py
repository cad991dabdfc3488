"""A worker that stalls, garbles, dies or refuses at the very step that makes an object: whoever made it is told, and
nothing of it is left."""

from __future__ import annotations

import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.worker_bridge.household import voice
from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import OPUS, VP8
from worker_bridge.errors import RequestRefused, WorkerGone
from worker_bridge.native import NativeWorker
from worker_bridge.router import Router
from worker_bridge.sctp import SctpOptions, SctpStreamParameters
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.worker import Worker, WorkerSettings

REPOSITORY = Path(__file__).parents[2]
RELAY = Path(__file__).with_name("relay_worker.py")
STREAM = SctpStreamParameters(1)
IMPATIENT = WorkerSettings(hang_after_s=0.3, heartbeat_s=0.05)

Make = Callable[["Scene"], Awaitable[object]]


class Scene:
    """A router with what each kind of object needs to be made."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self.server: WebRtcServer
        self.router: Router
        self.neighbour: Router
        self.transport: Any
        self.producer: Any
        self.data_producer: Any

    async def set(self, stage: int) -> None:
        """Only as much as comes before the step that goes wrong: the step's own method is asked but once."""
        if stage > 0:
            self.server = await self.worker.create_webrtc_server([LOOPBACK])
            self.router, self.neighbour = [await self.worker.create_router([OPUS, VP8]) for _ in range(2)]
        if stage > 1:
            self.transport = await self.router.create_plain_transport(LOOPBACK, comedia=True, sctp=SctpOptions())
        if stage > 2:
            self.producer = await self.transport.produce("audio", voice(1))
            self.data_producer = await self.transport.produce_data(STREAM)


STEPS: dict[str, tuple[int, Make]] = {
    "WORKER_CREATE_ROUTER": (0, lambda scene: scene.worker.create_router([OPUS])),
    "WORKER_CREATE_WEBRTCSERVER": (0, lambda scene: scene.worker.create_webrtc_server([LOOPBACK])),
    "ROUTER_CREATE_WEBRTCTRANSPORT": (1, lambda scene: scene.router.create_webrtc_transport([LOOPBACK])),
    "ROUTER_CREATE_PLAINTRANSPORT": (1, lambda scene: scene.router.create_plain_transport(LOOPBACK)),
    "ROUTER_CREATE_ACTIVESPEAKEROBSERVER": (1, lambda scene: scene.router.create_active_speaker_observer()),
    "ROUTER_CREATE_AUDIOLEVELOBSERVER": (1, lambda scene: scene.router.create_audio_level_observer()),
    "ROUTER_CREATE_WEBRTCTRANSPORT_WITH_SERVER": (1, lambda scene: scene.router.create_webrtc_transport(scene.server)),
    "ROUTER_CREATE_PIPETRANSPORT": (1, lambda scene: scene.router.create_pipe_transport()),
    "ROUTER_CREATE_DIRECTTRANSPORT": (1, lambda scene: scene.router.create_direct_transport()),
    "TRANSPORT_PRODUCE_DATA": (2, lambda scene: scene.transport.produce_data(STREAM)),
    "TRANSPORT_CONSUME_DATA": (3, lambda scene: scene.transport.consume_data(scene.data_producer.id)),
    "PIPETRANSPORT_CONNECT": (
        3,
        lambda scene: scene.router.pipe_to_router(scene.neighbour, producer_id=scene.producer.id, keep_id=False),
    ),
    "TRANSPORT_PRODUCE": (2, lambda scene: scene.transport.produce("audio", voice(1))),
    "TRANSPORT_CONSUME": (
        3,
        lambda scene: scene.transport.consume(scene.producer.id, scene.router.rtp_capabilities),
    ),
}
"""The request that makes each kind of object, how much there has to be before it, and who sends it."""
MADE = {"PIPETRANSPORT_CONNECT": 4}  # objects: two ends of a pipe, a consumer here and a producer there


@pytest.fixture
def relay(script: Callable[[str], NativeWorker], native_worker: NativeWorker) -> Callable[[str, str], Any]:
    """A worker that does ``fault`` when it is asked for ``method``, and the scene for that."""

    @asynccontextmanager
    async def running(method: str, fault: str) -> AsyncIterator[Scene]:
        parts = [sys.executable, str(RELAY), str(native_worker.binary), str(native_worker.schema), method, fault]
        native = script(f'PYTHONPATH={shlex.quote(str(REPOSITORY))} exec {shlex.join(parts)} "$@"')
        async with Worker.running(native, IMPATIENT if fault == "stall" else None) as worker:
            scene = Scene(worker)
            await scene.set(STEPS[method][0])
            yield scene

    return running


def left(worker: Worker) -> tuple[int, set[str]]:
    return worker.channel.pending, set(worker.channel._listeners)


@pytest.mark.parametrize("method", STEPS)
@pytest.mark.parametrize("fault", ["stall", "garble", "die_before", "die_after"])
async def test_with_a_worker_that_fails_everything_ends(relay: Any, method: str, fault: str) -> None:
    async with relay(method, fault) as scene:
        with pytest.raises(WorkerGone):
            await STEPS[method][1](scene)
        assert scene.worker.closed
        assert isinstance(scene.worker.failure, Exception)
        assert left(scene.worker) == (0, set())
        assert scene.worker.load == 0
        with pytest.raises(WorkerGone):
            await scene.worker.create_router([OPUS])


@pytest.mark.parametrize("method", STEPS)
@pytest.mark.parametrize("fault", ["refuse", "neither"])
async def test_what_was_refused_is_not_there_and_may_be_asked_for_again(relay: Any, method: str, fault: str) -> None:
    async with relay(method, fault) as scene:
        _, listeners = left(scene.worker)
        with pytest.raises(RequestRefused, match="not today" if fault == "refuse" else "no reason given"):
            await STEPS[method][1](scene)
        assert set(scene.worker.channel._listeners) == listeners
        assert set(await handlers(scene.worker)) == listeners
        await STEPS[method][1](scene)
        assert len(await handlers(scene.worker)) == len(listeners) + MADE.get(method, 1)
        assert not scene.worker.closed


async def handlers(worker: Worker) -> list[str]:
    handlers: list[str] = (await worker.dump())["channel_message_handlers"]["channel_request_handlers"]
    return handlers
