"""Carries a voice from one worker to another: a room that is larger than one CPU core.

    python examples/two_workers.py --seconds 3

A worker is one thread. ``pipe_to_router`` joins two routers of different workers by a pair of pipe transports, made
once for all that passes between them, and gives the other router a producer of the same id. Needs av and numpy.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import aclosing, suppress

from hearing import loudness, pitch
from transcribe import pcm
from voice import OPUS, singing

from worker_bridge import PipeOptions, Worker


async def main(seconds: int, hz: float, *, encrypted: bool) -> None:
    async with Worker.running() as here, Worker.running() as there:
        print(f"worker {here.pid} sings, worker {there.pid} listens", flush=True)
        stage, hall = await here.create_router([OPUS]), await there.create_router([OPUS])
        async with singing(stage, hz) as producer:
            options = PipeOptions(enable_srtp=encrypted)
            piped = await stage.pipe_to_router(hall, producer_id=producer.id, options=options)
            async with piped.pipe_producer as twin, aclosing(pcm(hall, twin)) as sound:
                async for second in sound:
                    print(f"heard {pitch(second):.0f} Hz at {loudness(second):.0f} dBov", flush=True)
                    seconds -= 1
                    if seconds == 0:
                        break
                else:
                    raise SystemExit(f"the voice ended: {twin!r}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3, help="how long to listen (default: 3)")
    parser.add_argument("--hz", type=float, default=440, help="what the voice sings (default: 440)")
    parser.add_argument("--srtp", action="store_true", help="encrypt the pipe")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(given.seconds, given.hz, encrypted=given.srtp))
