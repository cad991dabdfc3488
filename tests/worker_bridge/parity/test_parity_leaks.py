"""After making and closing each kind of object many times: no object, listener, handler or pending request is left,
neither here nor in the worker."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.conftest import eventually
from tests.worker_bridge.household import voice
from tests.worker_bridge.parity.test_parity_consumer import DEVICE
from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import OPUS, VP8
from worker_bridge.native import NativeWorker
from worker_bridge.resource import Resource
from worker_bridge.router import Router
from worker_bridge.sctp import SctpOptions, SctpStreamParameters
from worker_bridge.worker import Worker

ROUNDS = 20

Make = Callable[["Stage"], Awaitable[Any]]


class Stage:
    """What each kind of object needs to be made. It stays; what is made on it goes."""

    def __init__(self, worker: Worker, far_worker: Worker) -> None:
        self.worker, self.far_worker = worker, far_worker

    @classmethod
    async def set(cls, worker: Worker, far_worker: Worker) -> Stage:
        stage = cls(worker, far_worker)
        stage.server = await worker.create_webrtc_server([LOOPBACK])
        stage.router, stage.far = await worker.create_router([OPUS, VP8]), await far_worker.create_router([OPUS, VP8])
        stage.transport = await stage.router.create_plain_transport(LOOPBACK, comedia=True, sctp=SctpOptions())
        stage.direct = await stage.router.create_direct_transport()
        stage.producer = await stage.transport.produce("audio", voice(1))
        stage.data_producer = await stage.transport.produce_data(SctpStreamParameters(1))
        stage.observer = await stage.router.create_audio_level_observer()
        await stage.router.pipe_to_router(stage.far, producer_id=stage.producer.id)  # so that the pair is there
        return stage

    server: Any
    router: Router
    far: Router
    transport: Any
    direct: Any
    producer: Any
    data_producer: Any
    observer: Any

    @property
    def lasting(self) -> list[Any]:
        names = ("server", "router", "far", "transport", "direct", "producer", "data_producer", "observer")
        return [getattr(self, name) for name in names]

    async def footprint(self) -> Any:
        """Everything that grows if something is forgotten: in both workers, in both channels, on every object."""
        handlers = [(await worker.dump())["channel_message_handlers"] for worker in (self.worker, self.far_worker)]
        return (
            [{name: sorted(ids) for name, ids in entry.items()} for entry in handlers],
            [sorted(worker.channel._listeners) for worker in (self.worker, self.far_worker)],
            [(worker.channel.pending, worker.load) for worker in (self.worker, self.far_worker)],
            [(len(one._children), len(one._tables), len(one._on_closed)) for one in self.lasting],
            [sorted(table) for table in (self.router.producers, self.router.data_producers, self.far.producers)],
            [{event: len(one.events.listeners(event)) for event in one.events.event_names()} for one in self.lasting],
        )


@pytest.fixture
async def stage(worker: Worker, native_worker: NativeWorker) -> AsyncIterator[Stage]:
    async with Worker.running(native_worker) as far_worker:
        yield await Stage.set(worker, far_worker)


KINDS: dict[str, Make] = {
    "webrtc server": lambda stage: stage.worker.create_webrtc_server([LOOPBACK]),
    "router": lambda stage: stage.worker.create_router([OPUS]),
    "webrtc transport": lambda stage: stage.router.create_webrtc_transport([LOOPBACK], sctp=SctpOptions()),
    "webrtc transport on a server": lambda stage: stage.router.create_webrtc_transport(stage.server),
    "plain transport": lambda stage: stage.router.create_plain_transport(LOOPBACK, rtcp_mux=False),
    "pipe transport": lambda stage: stage.router.create_pipe_transport(enable_srtp=True),
    "direct transport": lambda stage: stage.router.create_direct_transport(),
    "producer": lambda stage: stage.transport.produce("audio", voice(2)),
    "direct producer": lambda stage: stage.direct.produce("audio", voice(2)),
    "consumer": lambda stage: stage.transport.consume(stage.producer.id, DEVICE),
    "direct consumer": lambda stage: stage.direct.consume(stage.producer.id, DEVICE),
    "data producer": lambda stage: stage.transport.produce_data(SctpStreamParameters(2)),
    "direct data producer": lambda stage: stage.direct.produce_data(),
    "data consumer": lambda stage: stage.transport.consume_data(stage.data_producer.id),
    "direct data consumer": lambda stage: stage.direct.consume_data(stage.data_producer.id),
    "active speaker observer": lambda stage: stage.router.create_active_speaker_observer(),
    "audio level observer": lambda stage: stage.router.create_audio_level_observer(),
}


async def made_many_times(stage: Stage, make: Make, end: Callable[[Any], object]) -> list[weakref.ref[Any]]:
    """Weak references to what was made and ended; it was listened to in every way, as leaks like it."""
    made: list[weakref.ref[Any]] = []
    for _ in range(ROUNDS):
        child = await make(stage)
        child.events.on("close", made.append)
        stream, waiting = child.events_of("close"), child.wait_for("close")
        end(child)
        await waiting
        stream.close()
        made[-1] = weakref.ref(child)
    return made


async def until_gone(stage: Stage, before: Any, made: list[weakref.ref[Any]]) -> None:
    async def why_not() -> object:
        after = await stage.footprint()
        return [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]

    await eventually(why_not)
    gc.collect()
    assert [one() for one in made if one() is not None] == []


@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_closed_is_nowhere(stage: Stage, kind: str) -> None:
    before = await stage.footprint()
    await until_gone(stage, before, await made_many_times(stage, KINDS[kind], lambda child: child.close()))


@pytest.mark.parametrize("kind", ["consumer", "data consumer", "producer", "data producer"])
async def test_what_its_transport_took_along_is_nowhere(stage: Stage, kind: str) -> None:
    before = await stage.footprint()
    lasting = stage.transport

    async def make(stage: Stage) -> Resource:
        stage.transport = await stage.router.create_plain_transport(LOOPBACK, sctp=SctpOptions())
        child: Resource = await KINDS[kind](stage)
        child.on_closed(lambda _: setattr(stage, "transport", lasting))
        return child

    made = await made_many_times(stage, make, lambda _: stage.transport.close())
    await until_gone(stage, before, made)


@pytest.mark.parametrize("what", ["producer", "data_producer"])
async def test_what_its_producer_took_along_is_nowhere(stage: Stage, what: str) -> None:
    before = await stage.footprint()

    async def make(stage: Stage) -> Any:
        if what == "producer":
            origin = await stage.transport.produce("audio", voice(3))
            child = await stage.direct.consume(origin.id, DEVICE)
        else:
            origin = await stage.direct.produce_data()
            child = await stage.transport.consume_data(origin.id)
        child.origin = origin
        return child

    await until_gone(stage, before, await made_many_times(stage, make, lambda child: child.origin.close()))


@pytest.mark.parametrize("what", ["producer", "data_producer"])
@pytest.mark.parametrize("ended", ["original", "copy"])
async def test_what_was_piped_is_nowhere(stage: Stage, what: str, ended: str) -> None:
    before = await stage.footprint()

    async def make(stage: Stage) -> Any:
        direct = stage.direct
        origin = await (direct.produce("audio", voice(4)) if what == "producer" else direct.produce_data())
        ask: Any = stage.router.pipe_to_router
        _, copy = await ask(stage.far, **{f"{what}_id": origin.id})
        copy.origin = origin
        return copy

    def end(copy: Any) -> None:
        origin = copy.origin
        if ended == "original":
            origin.close()
        else:
            copy.close()
            origin.close()

    await until_gone(stage, before, await made_many_times(stage, make, end))


async def test_who_is_observed_is_not_kept(stage: Stage) -> None:
    before = await stage.footprint()
    for _ in range(ROUNDS):
        await stage.observer.add_producer(stage.producer.id)
        await stage.observer.remove_producer(stage.producer.id)
    assert await stage.footprint() == before
