"""Hears browsers' data channels in this process, and answers by one of its own.

    python examples/data_channels.py --port 8090        and open http://127.0.0.1:8090

What a browser writes goes to the other browsers without this process. It comes here as well, because a data consumer on
a direct transport asks for it; what is sent here goes to every browser, as its data channel. ``aiohttp_room.py`` is the
room. Needs aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from aiohttp import web
from aiohttp_room import CONFERENCE, application, arguments, serve
from conference import Conference

from worker_bridge import DataProducer, DirectTransport, EventStream, Message, Producer, ResourceClosed


class Clerk:
    """Takes part in the chat, by a transport to this process."""

    def __init__(self, ours: DirectTransport, answers: DataProducer) -> None:
        self._ours = ours
        self._answers = answers
        self._talks: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def at_work(cls, conference: Conference) -> AsyncIterator[None]:
        async with await conference.router.create_direct_transport() as ours:
            clerk = cls(ours, await ours.produce_data(label="answers"))
            conference.members.add(clerk)
            yield
        await asyncio.gather(*clerk._talks)  # which end with the transport

    async def consume(self, producer: Producer) -> None:
        """It neither hears nor sees."""

    async def consume_data(self, producer: DataProducer) -> None:
        heard = await self._ours.consume_data(producer.id, paused=True)
        messages = heard.events_of("message")  # listen first, then let it flow: nothing is missed
        await heard.resume()
        talk = asyncio.create_task(self._talk(messages), name=f"talk {producer.id}")
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, messages: EventStream[Message]) -> None:
        with suppress(ResourceClosed):  # the room is closing, and nobody waits for an answer
            async for message in messages:
                print(f"heard: {message.text}", flush=True)
                self._answers.send(f"you wrote {len(message.text)} letters")


async def clerk(app: web.Application) -> AsyncIterator[None]:
    async with Clerk.at_work(app[CONFERENCE]):
        yield


if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    app = application(given.media_ip, given.client, echo=False)
    app.cleanup_ctx.append(clerk)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(given.host, given.port, app))
