"""Listening: streams that end with their object and miss nothing, waiting that says why it was in vain."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable

import pytest
from rtp_peer import LOOPBACK, RtpPeer

from worker_bridge.errors import InvalidParameters, ResourceClosed, WorkerGone
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.worker import Worker


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
    with pytest.raises(InvalidParameters, match="limit 0"):
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
        for event in ("workerclose", "routerclose", "listenserverclose"):
            one.events.on(event, lambda one=one, event=event: told.append(f"{type(one).__name__} {event}"))
    await worker.close()
    assert told == ["WebRtcTransport routerclose", "Router workerclose", "WebRtcServer workerclose"]


async def test_leaving_the_block_closes(router: Router) -> None:
    async with await router.create_plain_transport(LOOPBACK, app_data={"line": 7}) as transport:
        assert transport.app_data == {"line": 7}
        assert not transport.closed
    assert transport.close_reason is CloseReason.REQUESTED
