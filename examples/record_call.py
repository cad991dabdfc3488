"""Records a call to a file: ffmpeg gets each party's sound from a plain transport, and mixes all of it at the end.

    python examples/record_call.py call.ogg --seconds 5

Each party is a track of its own first, so that one who is muted, or never says anything, delays nobody. The SDP that
tells ffmpeg what comes is ours. It gets the worker's RTCP reports, and sends none back: it opens what an SDP names for
reading only. The file's name decides its format: .ogg, .webm, .wav, and so on. Here two voices sing; ``recording``
takes any producers of audio. Needs ffmpeg (Debian's package), av and numpy.
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
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ffmpeg import LIVE, ffmpeg
from voice import OPUS, singing

from worker_bridge import Consumer, ListenInfo, Producer, Router, Trace, Worker

LOOPBACK = ListenInfo("udp", "127.0.0.1")
READY_WITHIN_S = 5.0


@dataclass
class Track:
    """One party's sound, and when it began: milliseconds of the worker's clock, None as long as nothing has come."""

    consumer: Consumer
    file: Path
    began_ms: float | None = None

    async def begin(self, trace: Trace) -> None:
        self.began_ms = trace.timestamp
        await self.consumer.enable_trace_event()  # the first packet was enough


@asynccontextmanager
async def recording(router: Router, producers: Sequence[Producer], file: Path) -> AsyncIterator[list[Consumer]]:
    """What these say is in ``file`` when the block has ended, however that was; no file if nobody said anything."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix=f".{file.name}.", dir=file.parent)))
        tracks: list[Track] = []
        stack.push_async_callback(mix, tracks, file)  # after all tracks are complete
        for number, producer in enumerate(producers):
            tracks.append(await stack.enter_async_context(track(router, producer, folder / f"{number}.flac")))
        yield [one.consumer for one in tracks]


@asynccontextmanager
async def track(router: Router, producer: Producer, file: Path) -> AsyncIterator[Track]:
    """ffmpeg writes one party's sound, with silence where it was muted, until the block ends."""
    port = free_port_pair()  # ffmpeg's: RTP, and RTCP on the next (RFC 3550 §11)
    async with await router.create_plain_transport(LOOPBACK, rtcp_mux=False) as transport:
        await transport.connect(ip=LOOPBACK.ip, port=port, rtcp_port=port + 1)
        consumer = await transport.consume(producer.id, router.rtp_capabilities, paused=True)
        url = f"data:application/sdp;base64,{b64encode(sdp(consumer, port).encode()).decode()}"
        listen = ("-protocol_whitelist", "data,udp,rtp", "-f", "sdp", "-i", url)
        async with ffmpeg(*LIVE, *listen, "-af", "aresample=async=1", str(file)) as process:
            await listening(process, port)
            this = Track(consumer, file)
            consumer.events.once("trace", this.begin)
            await consumer.enable_trace_event("rtp")
            await consumer.resume()
            yield this


async def listening(process: Process, port: int) -> None:
    """Returns when ffmpeg listens, which it does not say."""
    async with asyncio.timeout(READY_WITHIN_S):
        while not taken(port):
            if process.returncode is not None:
                raise SystemExit(f"ffmpeg ended with {process.returncode} before it had begun")
            await asyncio.sleep(0.02)


async def mix(tracks: Sequence[Track], file: Path) -> None:
    """All of them in one file, each from when it began."""
    begun = [(one.began_ms, one.file) for one in tracks if one.began_ms is not None]
    if not begun:
        return
    start = min(began for began, _ in begun)
    inputs = [argument for _, path in begun for argument in ("-i", str(path))]
    delayed = [f"[{index}]adelay={began - start:.0f}:all=1[party{index}]" for index, (began, _) in enumerate(begun)]
    parties = "".join(f"[party{index}]" for index in range(len(begun)))
    graph = ";".join([*delayed, f"{parties}amix=inputs={len(begun)}:normalize=0"])
    async with ffmpeg(*inputs, "-filter_complex", graph, str(file)) as process:
        if await process.wait():
            raise SystemExit(f"ffmpeg could not write {file}")


def sdp(consumer: Consumer, port: int) -> str:
    """What comes to that port (RFC 8866)."""
    codec = consumer.rtp_parameters.codecs[0]
    name = codec.mime_type.partition("/")[2]
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=call", "c=IN IP4 127.0.0.1", "t=0 0"]
    media = f"m={consumer.kind} {port} RTP/AVP {codec.payload_type}"
    return "\r\n".join(
        [*lines, media, f"a=rtpmap:{codec.payload_type} {name}/{codec.clock_rate}/{codec.channels}", "a=sendonly", ""]
    )


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
    print(f"{file}: {file.stat().st_size} bytes" if file.exists() else "nobody said anything")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="where to write; its suffix says in what format")
    parser.add_argument("--seconds", type=int, default=5, help="how long to record (default: 5)")
    parser.add_argument("--hz", type=float, nargs="+", default=[440, 660], help="what the parties sing, one tone each")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(given.file, given.seconds, given.hz))
