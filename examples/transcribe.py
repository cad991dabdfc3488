"""Receives what somebody says as PCM, in this process: where a speech recogniser starts. Prints how loud it is.

    python examples/transcribe.py --seconds 5 --wav heard.wav

A direct transport hands every packet of a consumer to an ``async for``. Here a voice sings; ``pcm`` takes any producer
of audio. Needs av and numpy.
"""

from __future__ import annotations

import argparse
import asyncio
import wave
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

import numpy as np
from hearing import PCM_RATE, Ear, Samples, loudness, pitch
from voice import OPUS, singing

from worker_bridge import Producer, Router, Worker


async def pcm(router: Router, producer: Producer) -> AsyncGenerator[Samples]:
    """What the producer sends, second by second, until it closes: mono, 16 bits, 16 kHz."""
    async with await router.create_direct_transport() as transport:
        consumer = await transport.consume(producer.id, router.rtp_capabilities, paused=True)
        packets = consumer.events_of("rtp")  # listen first, then let it flow: nothing is missed
        await consumer.resume()
        ear, second = Ear(), np.zeros(0, np.int16)
        async for packet in packets:
            second = np.append(second, ear.hear(packet))
            while len(second) >= PCM_RATE:
                yield second[:PCM_RATE]
                second = second[PCM_RATE:]


async def main(seconds: int, hz: float, file: Path | None) -> None:
    heard = []
    async with Worker.running() as worker:
        router = await worker.create_router([OPUS])
        async with singing(router, hz) as producer, aclosing(pcm(router, producer)) as sound:
            async for second in sound:
                heard.append(second)  # your recogniser goes here
                print(f"second {len(heard)}: {loudness(second):.0f} dBov, {pitch(second):.0f} Hz", flush=True)
                if len(heard) == seconds:
                    break
            else:
                raise SystemExit(f"the voice ended: {producer!r}")
    if file:
        write_wav(file, np.concatenate(heard))


def write_wav(file: Path, samples: Samples) -> None:
    with wave.open(str(file), "wb") as out:
        out.setparams((1, 2, PCM_RATE, 0, "NONE", ""))
        out.writeframes(samples.tobytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=5, help="how long to listen (default: 5)")
    parser.add_argument("--hz", type=float, default=440, help="what the voice sings (default: 440)")
    parser.add_argument("--wav", type=Path, help="where to write what was heard")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(given.seconds, given.hz, given.wav))
