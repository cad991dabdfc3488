"""What the bridge costs over a real worker, as one JSON line: ``python -m bench.bridge``.

``us`` is microseconds of wall time for one request, ``cpuUs`` of this process's CPU time, each the median of several
rounds. The sweep is what watching calls takes once a second: a packet count of every producer, in one write; every
producer has received a packet, so that its statistics are as long as in a call.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import statistics
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from worker_bridge import native
from worker_bridge.connectivity import ListenInfo
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.producer import Producer
from worker_bridge.router import Router
from worker_bridge.rtp import (
    RtcpParameters,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpParameters,
    parameters,
)
from worker_bridge.stats import packet_count
from worker_bridge.worker import Worker

ROUNDS = 7
REQUESTS = 500  # a round
IN_FLIGHT = 16
SWEPT = 2_000  # producers: 1,000 calls of two
SWEEPS = 20
LOOPBACK = ListenInfo("udp", "127.0.0.1")
PACKET_TIMEOUT_S = 10.0
OPUS = RtpCodecParameters("audio/opus", 111, 48000, 2, parameters(minptime=10, useinbandfec=1))

Json = dict[str, Any]


def main() -> None:
    """Print the report."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report = runner.run(measure())
    sys.stdout.write(json.dumps(report) + "\n")


async def measure() -> Json:
    async with running_router() as (worker, router):
        sending = await router.create_plain_transport(LOOPBACK, comedia=True)
        one = await sending.produce("audio", microphone(0))
        report = {
            "bench": "bridge",
            "producePipelined": await pipelined(router),
            "produceSequential": await sequential(router),
            "dump": await timed(REQUESTS, lambda: in_turn(REQUESTS, one.dump)),
            "sweep": await sweep(worker, router),
        }
        return report | {"python": sys.version.split()[0]}


@asynccontextmanager
async def running_router() -> AsyncIterator[tuple[Worker, Router]]:
    binary = native.locate(os.environ.get("VOICEPLANE_WORKER_BIN"))
    async with Worker.running(binary) as worker:
        yield worker, await worker.create_router([RtpCodecCapability("audio", "audio/opus", 48000, channels=2)])


def microphone(number: int) -> RtpParameters:
    return RtpParameters(
        (OPUS,),
        encodings=(RtpEncodingParameters(ssrc=1_000_000 + number, dtx=True),),
        rtcp=RtcpParameters(f"cname-{number}"),
        mid=str(number),
    )


async def sequential(router: Router) -> Json:
    transport = await router.create_plain_transport(LOOPBACK, comedia=True)
    numbers = iter(range(ROUNDS * REQUESTS))
    return await timed(
        REQUESTS, lambda: in_turn(REQUESTS, lambda: transport.produce("audio", microphone(next(numbers))))
    )


async def pipelined(router: Router) -> Json:
    transports = [await router.create_plain_transport(LOOPBACK, comedia=True) for _ in range(IN_FLIGHT)]
    numbers = iter(range(ROUNDS * REQUESTS))
    share = REQUESTS // IN_FLIGHT

    async def produce_all() -> None:
        await asyncio.gather(*(produce_share(transport) for transport in transports))

    async def produce_share(transport: PlainTransport) -> None:
        await in_turn(share, lambda: transport.produce("audio", microphone(next(numbers))))

    return await timed(share * IN_FLIGHT, produce_all)


async def sweep(worker: Worker, router: Router) -> Json:
    transport = await router.create_plain_transport(LOOPBACK, comedia=True)
    producers = [await transport.produce("audio", microphone(number)) for number in range(SWEPT)]
    with socket.socket(type=socket.SOCK_DGRAM) as far_end:
        far_end.connect((transport.tuple.local_address, transport.tuple.local_port))
        await send_until_counted(worker, producers, far_end)
        times = await timed(1, lambda: counts(worker, producers), rounds=SWEEPS)
    return {"producers": SWEPT, "seconds": times["us"] / 1e6, "cpuSeconds": times["cpuUs"] / 1e6}


async def counts(worker: Worker, producers: list[Producer]) -> list[int]:
    answers = worker.channel.request_all([("PRODUCER_GET_STATS", producer.id) for producer in producers])
    return [packet_count(await answer) for answer in answers]


async def send_until_counted(worker: Worker, producers: list[Producer], far_end: socket.socket) -> None:
    """One RTP packet to every producer, and again to those that have not got theirs: the socket's buffer is small."""
    async with asyncio.timeout(PACKET_TIMEOUT_S):
        missing = producers
        sequence = 0
        while missing:
            sequence += 1
            for producer in missing:
                far_end.send(rtp_packet(producer.rtp_parameters.encodings[0].ssrc or 0, sequence))
            received = await counts(worker, missing)
            missing = [producer for producer, count in zip(missing, received, strict=True) if not count]


def rtp_packet(ssrc: int, sequence: int) -> bytes:
    """RFC 3550 §5.1, with a payload as long as 20 ms of speech."""
    return struct.pack("!BBHII", 0x80, OPUS.payload_type, sequence, sequence * 960, ssrc) + bytes(80)


async def in_turn(number: int, ask: Callable[[], Awaitable[object]]) -> None:
    for _ in range(number):
        await ask()


async def timed(requests: int, work: Callable[[], Awaitable[object]], rounds: int = ROUNDS) -> Json:
    """The median round's times, for one of its requests."""
    wall, cpu = [], []
    for _ in range(rounds):
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        await work()
        wall.append((time.perf_counter() - wall_start) / requests * 1e6)
        cpu.append((time.process_time() - cpu_start) / requests * 1e6)
    return {"us": round(statistics.median(wall), 1), "cpuUs": round(statistics.median(cpu), 1)}


if __name__ == "__main__":
    main()
