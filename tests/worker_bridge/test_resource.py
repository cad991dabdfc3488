"""Closing, against the real worker: exactly what the cascade's table says, on both sides of the pipe."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from tests.conftest import eventually
from tests.worker_bridge.household import Household, voice
from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.rtp_samples import OPUS
from worker_bridge.connectivity import ListenInfo
from worker_bridge.errors import InvalidParameters, NotFound, RequestRefused, ResourceClosed
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.resource import CASCADE, CloseReason, Resource
from worker_bridge.router import Router
from worker_bridge.worker import Worker

IN_THE_WORKER = sorted(CASCADE.keys() - {"worker"})


@pytest.fixture
async def home(worker: Worker) -> Household:
    return await Household.on(worker)


@pytest.fixture
async def gateway(router: Router) -> PlainTransport:
    return await router.create_plain_transport(LOOPBACK, comedia=True)


# ---------------------------------------------------------------- the table


def test_the_table_knows_every_kind() -> None:
    kinds = {kind.resource_kind for kind in all_subclasses(Resource) if "resource_kind" in vars(kind)}
    assert kinds == CASCADE.keys()
    assert {child for kind in CASCADE.values() for child in kind.closes} == CASCADE.keys() - {"worker"}


def all_subclasses(base: type[Resource]) -> set[type[Resource]]:
    below = set(base.__subclasses__())
    return below.union(*(all_subclasses(kind) for kind in below))


@pytest.mark.parametrize("kind", IN_THE_WORKER)
async def test_closing_closes_what_the_table_says_and_nothing_else(home: Household, kind: str) -> None:
    for name in home.of_kind(kind)[:2]:
        if home.members[name].closed:
            continue  # with the first
        expected = home.expected(name) | home.closed
        before = len(home.closings)
        home.members[name].close()
        left = await home.in_worker()  # the worker's notifications come before this answer
        await eventually(partial(difference, home, expected))
        assert left == home.members.keys() - expected.keys(), "the worker agrees"
        assert dict(home.closings[before:]).items() <= expected.items(), "events carry the same reason"
    assert len(home.closings) == len(home.closed), "one event each"


def difference(home: Household, expected: dict[str, CloseReason]) -> object:
    return set(home.closed.items()) ^ set(expected.items())


@pytest.mark.parametrize("end", ["close", "kill"])
async def test_everything_closes_with_the_worker(home: Household, end: str) -> None:
    if end == "close":
        await home.worker.close()
    else:
        os.kill(home.worker.pid, signal.SIGKILL)
        await home.worker.wait_gone()
    assert home.closed == dict.fromkeys(home.members, CloseReason.WORKER_DIED)
    assert len(home.closings) == len(home.members)
    assert home.worker.load == 0


async def test_what_is_closed_is_forgotten_everywhere(home: Household) -> None:
    router = home.members["router"]
    assert isinstance(router, Router)
    listening = home.worker.channel._listeners
    assert set(router.producers) == {
        home.members[name].id for name in ("caller's voice", "callee's voice", "gateway's voice", "caller's face")
    }
    home.members["caller"].close()
    await home.in_worker()
    await eventually(lambda: "a consumer is open" if len(home.closed) < 8 else None)
    assert set(router.producers) == {home.members[name].id for name in ("callee's voice", "gateway's voice")}
    assert home.members["caller"].id not in home.members["server"]._children
    assert listening.keys() == {member.id for member in home.members.values() if not member.closed}
    router.close()
    assert not router.producers
    assert not router._children
    assert home.members["server"]._children.keys() == {home.members["visitor"].id}
    home.members["server"].close()
    await home.in_worker()
    assert listening.keys() == {home.members["other router"].id, home.members["other server"].id}
    assert home.worker.load == 2


@pytest.mark.parametrize("kind", IN_THE_WORKER)
async def test_a_second_close_does_nothing(home: Household, kind: str) -> None:
    member = home.members[home.of_kind(kind)[0]]
    member.close()
    said = home.worker.channel.pending
    member.close()
    assert home.worker.channel.pending == said
    assert [name for name, _ in home.closings].count(home.of_kind(kind)[0]) == 1


async def test_whoever_was_told_before_the_event_was_told_once(gateway: PlainTransport) -> None:
    told: list[object] = []
    gateway.on_closed(lambda _: told.append("callback"))
    gateway.events.on("close", told.append)
    gateway.close()
    gateway.close()
    assert told == ["callback", CloseReason.REQUESTED]


async def test_nothing_can_be_asked_of_what_is_closed(router: Router, gateway: PlainTransport) -> None:
    producer = await gateway.produce("audio", voice(1))
    consumer = await gateway.consume(producer.id, router.rtp_capabilities)
    router.close()
    for ask in (
        router.dump,
        gateway.dump,
        gateway.get_stats,
        producer.pause,
        producer.get_stats,
        consumer.resume,
        consumer.get_stats,
        lambda: gateway.produce("audio", voice(2)),
        lambda: gateway.consume(producer.id, router.rtp_capabilities),
        lambda: router.create_plain_transport(LOOPBACK),
    ):
        with pytest.raises(ResourceClosed):
            await ask()
    producer.stop_tracing()  # harmless


# ---------------------------------------------------------------- while something is being made

Make = Callable[[Worker, Router, PlainTransport], Awaitable[Resource]]


async def make_consumer(worker: Worker, router: Router, gateway: PlainTransport) -> Resource:
    return await gateway.consume(next(iter(router.producers)), router.rtp_capabilities)


MAKERS: dict[str, Make] = {
    "webrtc_server": lambda worker, *_: worker.create_webrtc_server([ListenInfo("udp", "127.0.0.1")]),
    "router": lambda worker, *_: worker.create_router([OPUS]),
    "plain transport": lambda _, router, __: router.create_plain_transport(LOOPBACK),
    "webrtc transport": lambda _, router, __: router.create_webrtc_transport([LOOPBACK]),
    "direct transport": lambda _, router, __: router.create_direct_transport(),
    "pipe transport": lambda _, router, __: router.create_pipe_transport(),
    "producer": lambda _, __, gateway: gateway.produce("audio", voice(2), traces=("rtp",)),
    "consumer": make_consumer,
}


@pytest.fixture
async def making(worker: Worker, router: Router, gateway: PlainTransport) -> Callable[[str], asyncio.Task[Resource]]:
    """Starts to make something of a kind; there is one producer already."""
    await gateway.produce("audio", voice(1))

    def start(what: str) -> asyncio.Task[Resource]:
        return asyncio.ensure_future(MAKERS[what](worker, router, gateway))

    return start


@pytest.mark.parametrize("what", MAKERS)
@pytest.mark.parametrize("turns", [1, 2])
async def test_what_is_cancelled_while_it_is_made_leaves_nothing(
    worker: Worker, router: Router, making: Callable[[str], asyncio.Task[Resource]], what: str, turns: int
) -> None:
    before, listening = await worker.dump(), set(worker.channel._listeners)
    load, producers = worker.load, dict(router.producers)
    pending = making(what)
    for _ in range(turns):
        await asyncio.sleep(0)
    pending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await pending
    assert inventory(await worker.dump()) == inventory(before)
    assert set(worker.channel._listeners) == listening
    assert worker.load == load
    assert router.producers == producers


@pytest.mark.parametrize("what", ["plain transport", "webrtc transport", "producer", "consumer"])
async def test_an_owner_that_closes_takes_along_what_is_being_made(
    worker: Worker, router: Router, making: Callable[[str], asyncio.Task[Resource]], what: str
) -> None:
    pending = making(what)
    await asyncio.sleep(0)
    router.close()
    with pytest.raises(ResourceClosed):
        await pending
    left = inventory(await worker.dump())
    assert left == set()
    assert not router.producers
    assert not worker.channel._listeners


async def test_a_producer_that_closes_while_it_is_being_consumed(router: Router, gateway: PlainTransport) -> None:
    producer = await gateway.produce("audio", voice(1))
    listener = await router.create_plain_transport(LOOPBACK)
    pending = asyncio.ensure_future(listener.consume(producer.id, router.rtp_capabilities))
    await asyncio.sleep(0)
    producer.close()
    consumer = await pending
    await eventually(lambda: "the consumer is open" if not consumer.closed else None)
    assert consumer.close_reason is CloseReason.PRODUCER_CLOSED
    with pytest.raises(NotFound):
        await listener.consume(producer.id, router.rtp_capabilities)


async def test_what_a_closed_router_cannot_make_is_not_kept_by_the_server(worker: Worker, router: Router) -> None:
    server = await worker.create_webrtc_server([ListenInfo("udp", "127.0.0.1")])
    router.close()
    with pytest.raises(ResourceClosed):
        await router.create_webrtc_transport(server)
    assert not server._children


async def test_a_closed_server_carries_nothing(worker: Worker, router: Router) -> None:
    server = await worker.create_webrtc_server([ListenInfo("udp", "127.0.0.1")])
    server.close()
    with pytest.raises(ResourceClosed):
        await router.create_webrtc_transport(server)
    assert not router._children


@pytest.mark.parametrize("what", ["refused", "invalid"])
async def test_what_fails_leaves_no_trace(worker: Worker, router: Router, gateway: PlainTransport, what: str) -> None:
    await gateway.produce("audio", voice(1))
    before, listening = await worker.dump(), set(worker.channel._listeners)
    closings: list[object] = []
    gateway.events.on("newproducer", closings.append)
    if what == "refused":
        with pytest.raises(RequestRefused):
            await gateway.produce("audio", voice(1))
    else:
        with pytest.raises(InvalidParameters):
            await gateway.produce("audio", voice(2), traces=("everything",))
    assert inventory(await worker.dump()) == inventory(before)
    assert set(worker.channel._listeners) == listening
    assert len(router.producers) == len(gateway._children) == 1
    assert not closings


def inventory(dump: dict[str, object]) -> set[str]:
    handlers = dump["channel_message_handlers"]
    assert isinstance(handlers, dict)
    return {*handlers["channel_request_handlers"], *dump["router_ids"], *dump["web_rtc_server_ids"]}  # type: ignore[misc]
