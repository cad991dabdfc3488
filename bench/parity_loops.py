"""The loops of ``bench.parity`` in Python: each line of stdin asks for one, each line of stdout is how long it took.

A request is ``{"loop": name, "number": how many, "inFlight": how many at once}``. ``bench/node/parity_loops.mjs`` is
the same in Node's library, word for word where that is possible.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from worker_bridge import (
    ListenInfo,
    RtcpParameters,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpParameters,
    Worker,
    native,
    parameters,
)
from worker_bridge.rtp import RtpCodecCapability

LOOPBACK = ListenInfo("udp", "127.0.0.1")
OPUS = RtpCodecParameters("audio/opus", 111, 48000, 2, parameters(minptime=10, useinbandfec=1))
MEDIA = [
    RtpCodecCapability("audio", "audio/opus", 48000, channels=2),
    RtpCodecCapability("video", "video/VP8", 90000),
]
PAYLOAD = bytes(80)  # as long as 20 ms of speech
MESSAGE = bytes(200)
BATCH = 200  # packets between two pauses of a sender
FAN_OUT = 10  # consumers of each packet, where the way out is measured

Operation = Callable[[int], Awaitable[object]]


def serve(binary: str | None) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(answer(binary))


async def answer(binary: str | None) -> None:
    loop = asyncio.get_running_loop()
    async with Worker.running(native.locate(binary)) as worker:
        loops = Loops(worker)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            request = json.loads(line)
            taken = await loops.run(request["loop"], request["number"], request["inFlight"])
            sys.stdout.write(json.dumps(taken) + "\n")
            sys.stdout.flush()


class Loops:
    def __init__(self, worker: Worker) -> None:
        self.worker = worker

    async def run(self, name: str, number: int, in_flight: int) -> dict[str, float]:
        async with await self.worker.create_router(MEDIA) as self.router:
            measured = getattr(self, name)
            if name.endswith(("_in", "_out", "_both")):
                return await measured(number)
            operation: Operation = await measured()
            began, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(
                *(self.share(operation, range(first, number, in_flight)) for first in range(in_flight))
            )
            return {"seconds": time.perf_counter() - began, "cpuSeconds": time.process_time() - cpu}

    async def share(self, operation: Operation, numbers: range) -> None:
        for number in numbers:
            await operation(number)

    # objects, made and closed

    async def worker_dump(self) -> Operation:
        return lambda _: self.worker.dump()

    async def create_router(self) -> Operation:
        async def operation(_: int) -> None:
            (await self.worker.create_router(MEDIA)).close()

        return operation

    async def create_webrtc_transport(self) -> Operation:
        server = await self.worker.create_webrtc_server([LOOPBACK])
        self.router.on_closed(lambda _: server.close())

        async def operation(_: int) -> None:
            (await self.router.create_webrtc_transport(server)).close()

        return operation

    async def create_plain_transport(self) -> Operation:
        async def operation(_: int) -> None:
            (await self.router.create_plain_transport(LOOPBACK, comedia=True)).close()

        return operation

    async def create_pipe_transport(self) -> Operation:
        async def operation(_: int) -> None:
            (await self.router.create_pipe_transport()).close()

        return operation

    async def create_direct_transport(self) -> Operation:
        async def operation(_: int) -> None:
            (await self.router.create_direct_transport()).close()

        return operation

    async def create_producer(self) -> Operation:
        transport = await self.router.create_plain_transport(LOOPBACK, comedia=True)

        async def operation(number: int) -> None:
            (await transport.produce("audio", microphone(number))).close()

        return operation

    async def create_consumer(self) -> Operation:
        transport, producer = await self._spoken()

        async def operation(_: int) -> None:
            (await transport.consume(producer.id, self.router.rtp_capabilities)).close()

        return operation

    async def create_data_producer(self) -> Operation:
        transport = await self.router.create_direct_transport()

        async def operation(_: int) -> None:
            (await transport.produce_data(label="bench")).close()

        return operation

    async def create_data_consumer(self) -> Operation:
        transport = await self.router.create_direct_transport()
        data_producer = await transport.produce_data()

        async def operation(_: int) -> None:
            (await transport.consume_data(data_producer.id)).close()

        return operation

    async def create_audio_level_observer(self) -> Operation:
        async def operation(_: int) -> None:
            (await self.router.create_audio_level_observer()).close()

        return operation

    async def create_active_speaker_observer(self) -> Operation:
        async def operation(_: int) -> None:
            (await self.router.create_active_speaker_observer()).close()

        return operation

    # requests

    async def produce(self) -> Operation:
        transport = await self.router.create_plain_transport(LOOPBACK, comedia=True)
        return lambda number: transport.produce("audio", microphone(number))

    async def consume(self) -> Operation:
        transport, producer = await self._spoken()
        return lambda _: transport.consume(producer.id, self.router.rtp_capabilities)

    async def producer_get_stats(self) -> Operation:
        _, producer = await self._spoken()
        return lambda _: producer.get_stats()

    async def transport_get_stats(self) -> Operation:
        transport, _ = await self._spoken()
        return lambda _: transport.get_stats()

    async def pause_and_resume(self) -> Operation:
        _, producer = await self._spoken()

        async def operation(_: int) -> None:
            await producer.pause()
            await producer.resume()

        return operation

    # packets and messages

    async def rtp_in(self, number: int) -> dict[str, float]:
        transport, producer = await self._spoken()
        began, cpu = time.perf_counter(), time.process_time()
        for first in range(0, number, BATCH):
            for sequence in range(first, first + BATCH):
                producer.send(packet(sequence))
            await transport.drain()
            await asyncio.sleep(0)
        [stats] = await producer.get_stats()
        taken = {"seconds": time.perf_counter() - began, "cpuSeconds": time.process_time() - cpu}
        if stats["packet_count"] < number:
            raise AssertionError(f"{stats['packet_count']} of {number} packets arrived")
        return taken

    async def rtp_out(self, number: int) -> dict[str, float]:
        return await self._rtp_through(number // FAN_OUT, FAN_OUT)

    async def rtp_both(self, number: int) -> dict[str, float]:
        return await self._rtp_through(number, 1)

    async def data_in(self, number: int) -> dict[str, float]:
        transport = await self.router.create_direct_transport()
        data_producer = await transport.produce_data()
        began, cpu = time.perf_counter(), time.process_time()
        for _ in range(0, number, BATCH):
            for _ in range(BATCH):
                data_producer.send(MESSAGE)
            await transport.drain()
            await asyncio.sleep(0)
        [stats] = await data_producer.get_stats()
        taken = {"seconds": time.perf_counter() - began, "cpuSeconds": time.process_time() - cpu}
        if stats["messages_received"] != number:
            raise AssertionError(f"{stats['messages_received']} of {number} messages arrived")
        return taken

    async def data_out(self, number: int) -> dict[str, float]:
        return await self._data_through(number // FAN_OUT, FAN_OUT)

    async def data_both(self, number: int) -> dict[str, float]:
        return await self._data_through(number, 1)

    async def _rtp_through(self, number: int, listeners: int) -> dict[str, float]:
        transport, producer = await self._spoken()
        counter = Counter(number * listeners)
        for _ in range(listeners):
            consumer = await transport.consume(producer.id, self.router.rtp_capabilities)
            consumer.events.on("rtp", counter.count)
        return await counter.timed(number, lambda sequence: producer.send(packet(sequence)))

    async def _data_through(self, number: int, listeners: int) -> dict[str, float]:
        transport = await self.router.create_direct_transport()
        data_producer = await transport.produce_data()
        counter = Counter(number * listeners)
        for _ in range(listeners):
            data_consumer = await transport.consume_data(data_producer.id)
            data_consumer.events.on("message", counter.count)
        return await counter.timed(number, lambda _: data_producer.send(MESSAGE))

    async def _spoken(self) -> tuple[Any, Any]:
        """A direct transport, and a producer on it that has got a packet."""
        transport = await self.router.create_direct_transport()
        producer = await transport.produce("audio", microphone(0))
        producer.send(packet(0))
        return transport, producer


class Counter:
    """Counts what arrives, and keeps no more than two batches on the way."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.counted = 0
        self.awaited = 0
        self.reached = asyncio.Event()

    def count(self, _: object) -> None:
        self.counted += 1
        if self.counted >= self.awaited:
            self.reached.set()

    async def timed(self, number: int, send: Callable[[int], None]) -> dict[str, float]:
        each = self.expected // number
        began, cpu = time.perf_counter(), time.process_time()
        for first in range(0, number, BATCH):
            for sequence in range(first, min(first + BATCH, number)):
                send(sequence)
            await self.until((first - BATCH) * each)
        await self.until(self.expected)
        return {"seconds": time.perf_counter() - began, "cpuSeconds": time.process_time() - cpu}

    async def until(self, awaited: int) -> None:
        self.awaited = awaited
        self.reached.clear()
        if self.counted < awaited:
            await self.reached.wait()


def microphone(number: int) -> RtpParameters:
    return RtpParameters(
        (OPUS,),
        encodings=(RtpEncodingParameters(ssrc=1_000_000 + number),),
        rtcp=RtcpParameters("bench"),
        mid=f"m{number}",
    )


def packet(sequence: int) -> bytes:
    """RFC 3550 §5.1."""
    return struct.pack("!BBHII", 0x80, 111, sequence & 0xFFFF, sequence * 960 & 0xFFFFFFFF, 1_000_000) + PAYLOAD
