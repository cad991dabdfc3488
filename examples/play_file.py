"""Plays a file into a room: ffmpeg sends it as RTP to a plain transport. Prints what is heard there.

    python examples/play_file.py music.ogg

A comedia transport learns from the first packets where they come from, so that only ffmpeg has to be told an address.
Any file that ffmpeg reads will do, or with ``--lavfi`` what it makes by itself: ``--lavfi sine=440:duration=5``. Needs
ffmpeg (Debian's package), av and numpy.
"""

from __future__ import annotations

import argparse
import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from ffmpeg import ffmpeg
from hearing import loudness, pitch
from transcribe import pcm
from voice import OPUS, PAYLOAD_TYPE, RATE

from worker_bridge import (
    ListenInfo,
    Producer,
    Router,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpParameters,
    Worker,
)

LOOPBACK = ListenInfo("udp", "127.0.0.1")
SSRC = 2222


@asynccontextmanager
async def playing(router: Router, *source: str) -> AsyncIterator[tuple[Producer, Process]]:
    """A producer that ffmpeg feeds, and ffmpeg, which ends with the file. ``source``: ffmpeg's input options."""
    async with await router.create_plain_transport(LOOPBACK, rtcp_mux=False, comedia=True) as transport:
        codec = RtpCodecParameters("audio/opus", PAYLOAD_TYPE, RATE, channels=2)
        parameters = RtpParameters(codecs=(codec,), encodings=(RtpEncodingParameters(ssrc=SSRC),))
        producer = await transport.produce("audio", parameters)
        rtp, rtcp = transport.tuple, transport.rtcp_tuple or transport.tuple
        encode = ("-vn", "-c:a", "libopus", "-ar", str(RATE), "-ac", "2")
        send = ("-f", "rtp", "-payload_type", str(PAYLOAD_TYPE), "-ssrc", str(SSRC))
        url = f"rtp://{LOOPBACK.ip}:{rtp.local_port}?rtcpport={rtcp.local_port}"
        async with ffmpeg("-re", *source, *encode, *send, url) as process:  # -re: not faster than it sounds
            yield producer, process


async def main(source: list[str]) -> None:
    async with Worker.running() as worker:
        router = await worker.create_router([OPUS])
        async with playing(router, *source) as (producer, process):
            listening = asyncio.create_task(listen(router, producer), name="listener")
            code = await process.wait()
            (stats,) = await producer.get_stats() or [{"packet_count": 0}]
            producer.close()
            await listening
        print(f"ffmpeg ended with {code}; {stats['packet_count']} packets came")
    if code:
        raise SystemExit(code)


async def listen(router: Router, producer: Producer) -> None:
    async for second in pcm(router, producer):
        print(f"heard {pitch(second):.0f} Hz at {loudness(second):.0f} dBov", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("file", nargs="?", help="what to play")
    source.add_argument("--lavfi", help="a source of ffmpeg's own to play instead")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(["-i", given.file] if given.file else ["-f", "lavfi", "-i", given.lavfi]))
