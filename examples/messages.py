"""Passes messages through a router, from this process to this process: chat beside a call, without a socket.

    python examples/messages.py

A data producer on a WebRTC transport is a browser's data channel; on a direct transport it is ``send``. Either goes to
data consumers of either sort. Subchannels say who gets what.
"""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress

from worker_bridge import EventStream, Message, Worker

LOBBY, STAFF = 1, 2  # subchannels: any numbers below 65,536


async def main() -> None:
    async with Worker.running() as worker:
        router = await worker.create_router()
        async with (
            await router.create_direct_transport() as ours,
            await router.create_direct_transport() as guest,
            await router.create_direct_transport() as staff,
        ):
            chat = await ours.produce_data(label="chat")
            visitors = await guest.consume_data(chat.id, subchannels=[LOBBY])
            colleagues = await staff.consume_data(chat.id, subchannels=[LOBBY, STAFF])
            readers = [
                asyncio.create_task(read("guest", visitors.events_of("message")), name="guest"),
                asyncio.create_task(read("staff", colleagues.events_of("message")), name="staff"),
            ]
            chat.send("welcome")
            chat.send("table 4 wants to pay", subchannels=[STAFF])
            chat.send(b"\x00\x01", subchannels=[LOBBY])
            (stats,) = await colleagues.get_stats()  # answered after what was sent before it
            print(f"{stats['messages_sent']} messages to staff", flush=True)
            chat.close()  # and its consumers with it: the readers end
            await asyncio.gather(*readers)


async def read(name: str, messages: EventStream[Message]) -> None:
    async for message in messages:
        print(f"{name}: {message.text if message.is_text else message.payload.hex()}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
