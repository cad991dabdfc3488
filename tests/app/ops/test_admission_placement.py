"""Where new rooms go, on real workers: to the one that has the least to do, and not to one that does not forward."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest

from app.keys import FORWARDING_PROBE, SAMPLER
from app.media.codecs import codecs_of
from app.ops import descriptors as descriptors_module
from app.ops import forwarding_probe as probe_module
from app.ops.probe import HEADER, HERE, OPUS, VERSION_2
from tests.app.ops.shortage import without_sockets
from tests.conftest import Server, eventually, serving
from voiceplane.client.api import Api
from worker_bridge.rtp import RtcpParameters, RtpEncodingParameters, RtpParameters
from worker_bridge.worker import Worker

BURST = 6
PATIENCE_S = 30.0
LISTENERS = 60
AT_ONCE = 3  # packets
FELT = 0.05  # stress: more than a burst of rooms is expected to bring
SSRC = 4711
VOICE = RtpParameters((OPUS,), encodings=(RtpEncodingParameters(ssrc=SSRC),), rtcp=RtcpParameters("voice"))


@pytest.fixture
async def server(settings_with, monkeypatch) -> AsyncIterator[Server]:
    monkeypatch.setattr(probe_module, "PROBE_EVERY_S", 0.2)
    monkeypatch.setattr(probe_module, "AGAIN_AFTER_S", 0.2)
    async with serving(settings_with(workers=2)) as running:
        yield running


@asynccontextmanager
async def kept_busy(worker: Worker) -> AsyncIterator[None]:
    """A worker that forwards one voice to very many listeners, who are all the same deaf socket."""
    router = await worker.create_router(codecs_of({"audio"}))
    with closing(udp_socket()) as voice, closing(udp_socket()) as deaf:
        way_in = await router.create_plain_transport(HERE, comedia=True)
        way_out = await router.create_plain_transport(HERE)
        await way_out.connect(ip=HERE.ip, port=deaf.getsockname()[1])
        producer = await way_in.produce("audio", VOICE)
        for _ in range(LISTENERS):
            await way_out.consume(producer.id, router.rtp_capabilities)

        async def speak() -> None:
            for number in itertools.count():
                header = HEADER.pack(VERSION_2, OPUS.payload_type, number & 0xFFFF, number * 960 & 0xFFFFFFFF, SSRC)
                voice.sendto(header + b"voice", (HERE.ip, way_in.tuple.local_port))
                if number % AT_ONCE == 0:
                    await asyncio.sleep(0.001)

        speaking = asyncio.create_task(speak())
        try:
            yield
        finally:
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
            router.close()


def udp_socket() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((HERE.ip, 0))
    return made


async def burst(admin: Api, server: Server, name: str) -> list[int]:
    """New calls at the same moment: how many rooms each worker got."""
    calls = [f"{name}-{number}" for number in range(BURST)]
    await asyncio.gather(*(admin.open_call(call, f"u-{call}", f"o-{call}", price_per_minute=0) for call in calls))
    rooms = [server.registry.room(call) for call in calls]
    channels = [slot.worker.channel for slot in server.pool.slots]
    return [sum(room.channel is channel for room in rooms) for channel in channels]


async def test_a_burst_is_shared_out_among_workers_that_have_nothing_to_do(server, admin):
    assert await burst(admin, server, "first") == [BURST / 2, BURST / 2]


async def test_rooms_go_past_a_worker_that_is_under_load(server, admin):
    stresses = [server.app[SAMPLER].vitals_in(slot) for slot in server.pool.slots]

    def not_felt() -> str | None:
        busy, idle = (vitals.stress.value for vitals in stresses)
        return None if busy > idle + FELT else f"{busy} is not much more than {idle}"

    async with kept_busy(server.pool.slots[0].worker):
        await eventually(not_felt, within_s=PATIENCE_S)
        lines = (await admin.request("GET", "/admin/workers"))["workers"]
        assert lines[0]["stress"] > lines[1]["stress"]
        assert await burst(admin, server, "second") == [0, BURST]


async def test_rooms_go_past_a_worker_that_has_hardly_a_descriptor_left(server, admin, monkeypatch):
    monkeypatch.setattr(probe_module, "PROBE_EVERY_S", 3600.0)  # no proof shall say so before
    with without_sockets(server.pool.slots[0].worker.pid):
        assert await burst(admin, server, "short") == [0, BURST]


async def test_rooms_go_past_a_worker_that_does_not_forward_while_there_is_another(server, admin, monkeypatch):
    monkeypatch.setattr(descriptors_module, "FEW_LEFT", -1_000_000)  # else that is the reason
    forwarding, (first, second) = server.app[FORWARDING_PROBE], server.pool.slots
    with without_sockets(first.worker.pid):
        await eventually(lambda: not forwarding.failed(first) and "it is not found out")
        assert await burst(admin, server, "third") == [0, BURST]
        with without_sockets(second.worker.pid):
            await eventually(lambda: not forwarding.failed(second) and "it is not found out")
            assert sum(await burst(admin, server, "fourth")) == BURST, "one that may forward is better than none"
    await eventually(lambda: forwarding.failed(first) or forwarding.failed(second))
