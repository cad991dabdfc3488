"""Shows who speaks, and how loud, without opening any sound: two observers read what RTP headers say (RFC 6464).

    python examples/audio_levels.py --seconds 2

An ``AudioLevelObserver`` tells the loudest producers of each interval, an ``ActiveSpeakerObserver`` whoever speaks
most, and anybody as long as nobody has spoken. Here three voices of different loudness take turns. Needs av and numpy.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import AsyncExitStack, suppress

from voice import OPUS, singing

from worker_bridge import Producer, Volume, Worker

PARTIES = {"Aki": (440.0, -10), "Ben": (550.0, -25), "Chie": (660.0, -40)}  # Hz, dBov


def tell_volumes(volumes: tuple[Volume, ...]) -> None:
    print("loud: " + ", ".join(f"{one.producer.app_data['name']} {one.volume} dBov" for one in volumes), flush=True)


def tell_speaker(producer: Producer) -> None:
    print(f"speaks most: {producer.app_data['name']}", flush=True)


async def main(seconds: float) -> None:
    async with Worker.running() as worker, AsyncExitStack() as call:
        router = await worker.create_router([OPUS])
        levels = await router.create_audio_level_observer(max_entries=len(PARTIES), threshold=-70, interval_ms=500)
        levels.events.on("volumes", tell_volumes)
        levels.events.on("silence", lambda: print("silence", flush=True))
        speakers = await router.create_active_speaker_observer()
        speakers.events.on("dominantspeaker", tell_speaker)
        for ssrc, (name, (hz, dbov)) in enumerate(PARTIES.items(), start=1):
            producer = await call.enter_async_context(singing(router, hz, dbov, ssrc, syllables=True))
            producer.app_data["name"] = name
            await producer.pause()  # an observer does not hear who is paused
            await levels.add_producer(producer.id)
            await speakers.add_producer(producer.id)
        for producer in list(router.producers.values()):
            print(f"{producer.app_data['name']} begins", flush=True)
            await producer.resume()
            await asyncio.sleep(seconds)
            producer.close()  # observers let go of it by themselves


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="how long each sings (default: 3)")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(given.seconds))
