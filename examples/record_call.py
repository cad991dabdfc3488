"""Records a call to a file: ffmpeg gets every party's sound from a plain transport of its own, and mixes it.

    python examples/record_call.py call.ogg --seconds 5

The SDP that tells ffmpeg what comes is ours. The worker's RTCP reports let ffmpeg line the parties up; ffmpeg sends
none back, since it opens what an SDP names for reading only. The file's name decides its format: .ogg, .webm, .wav, and
so on. Here two voices sing; ``recording`` takes any producers of audio. Needs ffmpeg (Debian's package), av and numpy.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import socket
from asyncio.subprocess import Process
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from ffmpeg import LIVE, ffmpeg
from voice import OPUS, singing

from worker_bridge import Consumer, ListenInfo, Producer, Router, Worker

LOOPBACK = ListenInfo("udp", "127.0.0.1")
READY_WITHIN_S = 5.0


@asynccontextmanager
async def recording(router: Router, producers: Sequence[Producer], file: Path) -> AsyncIterator[list[Consumer]]:
    """ffmpeg writes what these say into ``file`` until the block ends; the file is complete after it."""
    async with AsyncExitStack() as stack:
        consumers, ports = [], []
        for producer in producers:
            port = free_port_pair()  # ffmpeg's: RTP, and RTCP on the next (RFC 3550 §11)
            transport = await stack.enter_async_context(await router.create_plain_transport(LOOPBACK, rtcp_mux=False))
            await transport.connect(ip=LOOPBACK.ip, port=port, rtcp_port=port + 1)
            consumers.append(await transport.consume(producer.id, router.rtp_capabilities, paused=True))
            ports.append(port)
        await stack.enter_async_context(recorder(sdp(consumers, ports), ports, file))
        for consumer in consumers:
            await consumer.resume()
        yield consumers


@asynccontextmanager
async def recorder(session: str, ports: Sequence[int], file: Path) -> AsyncIterator[Process]:
    """ffmpeg, listening."""
    url = f"data:application/sdp;base64,{b64encode(session.encode()).decode()}"
    listen = ("-protocol_whitelist", "data,udp,rtp", "-f", "sdp", "-i", url)
    async with ffmpeg(*LIVE, *listen, "-filter_complex", mix(len(ports)), str(file)) as process:
        async with asyncio.timeout(READY_WITHIN_S):
            while not all(map(taken, ports)):
                if process.returncode is not None:
                    raise SystemExit(f"ffmpeg ended with {process.returncode} before it had begun")
                await asyncio.sleep(0.02)  # it does not say when it listens
        yield process


def mix(parties: int) -> str:
    """All of them at once. ``aresample`` puts silence where somebody was muted, else the rest would move up."""
    filled = [f"[0:{party}]aresample=async=1[party{party}]" for party in range(parties)]
    together = "".join(f"[party{party}]" for party in range(parties))
    return ";".join([*filled, f"{together}amix=inputs={parties}:normalize=0"])


def sdp(consumers: Sequence[Consumer], ports: Sequence[int]) -> str:
    """What comes to which port (RFC 8866)."""
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=call", "c=IN IP4 127.0.0.1", "t=0 0"]
    for consumer, port in zip(consumers, ports, strict=True):
        codec = consumer.rtp_parameters.codecs[0]
        name = codec.mime_type.partition("/")[2]
        lines += [
            f"m={consumer.kind} {port} RTP/AVPF {codec.payload_type}",
            f"a=rtpmap:{codec.payload_type} {name}/{codec.clock_rate}/{codec.channels}",
            "a=sendonly",
        ]
    return "\r\n".join([*lines, ""])


def free_port_pair() -> int:
    """An even UDP port that is free together with the next one."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((LOOPBACK.ip, 0))
            port: int = probe.getsockname()[1] & ~1
        if port and not taken(port) and not taken(port + 1):
            return port


def taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((LOOPBACK.ip, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False


async def main(file: Path, seconds: int, tones: Sequence[float]) -> None:
    async with Worker.running() as worker, AsyncExitStack() as call:
        router = await worker.create_router([OPUS])
        parties = [
            await call.enter_async_context(singing(router, hz, dbov=-20, ssrc=ssrc))
            for ssrc, hz in enumerate(tones, start=1)
        ]
        async with recording(router, parties, file) as consumers:
            for second in range(1, seconds + 1):
                await asyncio.sleep(1)
                sent = [(await consumer.get_stats())[0]["packet_count"] for consumer in consumers]
                print(f"second {second}: {sent} packets to ffmpeg", flush=True)
    print(f"{file}: {file.stat().st_size} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where to write; its suffix says in what format")
    parser.add_argument("--seconds", type=int, default=5, help="how long to record (default: 5)")
    parser.add_argument("--hz", type=float, nargs="+", default=[440, 660], help="what the parties sing, one tone each")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(given.file, given.seconds, given.hz))
