"""Listening: streams that end with their object and miss nothing, waiting that says why it was in vain."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from worker_bridge import api
from worker_bridge.errors import InvalidParameters, ResourceClosed, WorkerGone
from worker_bridge.observable import Observable
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.resource import CASCADE, CloseReason
from worker_bridge.router import Router
from worker_bridge.worker import Worker, observer


@pytest.fixture
async def gateway(router: Router) -> PlainTransport:
    return await router.create_plain_transport(LOOPBACK, comedia=True)


async def test_a_stream_begins_when_it_is_asked_for_and_ends_with_the_object(router: Router) -> None:
    made = router.events_of("newtransport")
    transports = [await router.create_plain_transport(LOOPBACK) for _ in range(3)]
    router.close()
    assert [transport async for transport in made] == transports
    with pytest.raises(ResourceClosed, match=f"Router {router.id} is closed: REQUESTED"):
        router.events_of("newtransport")


async def test_the_stream_of_closings_has_one_value(gateway: PlainTransport) -> None:
    closings = gateway.events_of("close")
    gateway.close()
    assert [reason async for reason in closings] == [CloseReason.REQUESTED]


async def test_a_reader_that_is_too_slow_loses_the_oldest(router: Router) -> None:
    made = router.events_of("newtransport", limit=2)
    transports = [await router.create_plain_transport(LOOPBACK) for _ in range(3)]
    made.close()
    assert [transport async for transport in made] == transports[1:]
    assert made.dropped == 1
    with pytest.raises(InvalidParameters, match="limit: 0 is no integer from 1"):
        router.events_of("newtransport", limit=0)


async def test_a_stream_that_nobody_holds_is_not_fed(router: Router) -> None:
    made = router.events_of("newtransport")
    async with router.events_of("newtransport"):
        assert len(router.events.listeners("newtransport")) == 2
    del made
    gc.collect()
    assert router.events.event_names() == set()


async def test_waiting_for_an_event(gateway: PlainTransport, peers: Callable[[], RtpPeer]) -> None:
    met = gateway.wait_for("tuple", lambda tuple_: tuple_.remote_port is not None)
    peer = peers()
    peer.send(gateway.tuple, ssrc=1, payload_type=100)
    assert (await met).remote_port == peer.port
    await asyncio.sleep(0)
    assert gateway.events.event_names() == set()


async def test_waiting_in_vain_says_why(worker: Worker, router: Router, gateway: PlainTransport) -> None:
    waiting = gateway.wait_for("tuple")
    broken = router.wait_for("newtransport", lambda _: 1 / 0)
    await router.create_plain_transport(LOOPBACK)
    with pytest.raises(ZeroDivisionError):
        await broken
    router.close()
    with pytest.raises(ResourceClosed, match=f"PlainTransport {gateway.id} is closed: OWNER_CLOSED"):
        await waiting
    left = worker.wait_for("newrouter")
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerGone, match="signal 9"):
        await left


async def test_waiting_that_is_given_up_leaves_no_listener(gateway: PlainTransport) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await gateway.wait_for("tuple")
    await asyncio.sleep(0)
    assert gateway.events.event_names() == set()


async def test_what_took_an_object_along_is_told_before_its_end(router: Router, gateway: PlainTransport) -> None:
    told: list[object] = []
    gateway.events.on("routerclose", lambda: told.append(("routerclose", gateway.closed)))
    gateway.events.on("close", told.append)
    router.close()
    assert told == [("routerclose", True), CloseReason.OWNER_CLOSED]


async def test_on_a_dead_worker_transports_hear_of_their_router(worker: Worker) -> None:
    server = await worker.create_webrtc_server([LOOPBACK])
    router = await worker.create_router([])
    transport = await router.create_webrtc_transport(server)
    told: list[str] = []
    for one in (server, router, transport):
        for event in one.known_events & {"workerclose", "routerclose", "listenserverclose"}:
            one.events.on(event, lambda one=one, event=event: told.append(f"{type(one).__name__} {event}"))
    await worker.close()
    assert told == ["WebRtcTransport routerclose", "Router workerclose", "WebRtcServer workerclose"]


async def test_leaving_the_block_closes(router: Router) -> None:
    async with await router.create_plain_transport(LOOPBACK, app_data={"line": 7}) as transport:
        assert transport.app_data == {"line": 7}
        assert not transport.closed
    assert transport.close_reason is CloseReason.REQUESTED


async def test_waiting_for_what_is_never_told_is_refused_with_what_is(worker: Worker, gateway: PlainTransport) -> None:
    for listen in (gateway.wait_for, gateway.events_of, lambda name: gateway.events.on(name, print)):
        with pytest.raises(InvalidParameters, match=r"^event: 'tupel' is none of close, .*, rtcptuple, .*, tuple$"):
            listen("tupel")
    with pytest.raises(InvalidParameters, match=r"^event: 'newrooter' is none of close, died, newrouter, "):
        worker.wait_for("newrooter")
    with pytest.raises(InvalidParameters, match=r"^event: 'newworkers' is none of newworker$"):
        observer.on("newworkers", print)
    assert gateway.events.event_names() == set()


TELLING = [one for one in vars(api).values() if hasattr(one, "known_events")]


@pytest.mark.parametrize("kind", TELLING)
def test_the_events_that_a_class_describes_are_those_that_can_be_listened_to(kind: type[Observable]) -> None:
    described = {name for one in kind.__mro__ for name in re.findall(r"``(\w+)\(", one.__doc__ or "")}
    assert described == kind.known_events


def test_whatever_is_told_can_be_listened_to() -> None:
    """Every name that the sources emit, or the table of closings does."""
    sources = (path.read_text(encoding="utf-8") for path in Path(api.__file__).parent.glob("*.py"))
    told = {name for text in sources for name in re.findall(r"_?emit\(\"(\w+)\"", text)}
    told |= {kind.event for kind in CASCADE.values() if kind.event}
    known = {name for one in TELLING for name in one.known_events} | {"newworker"}
    assert told <= known
    assert len(told) > 30
