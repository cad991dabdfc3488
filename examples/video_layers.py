"""Chooses which layers of a camera are sent on: of simulcast, several streams, and of SVC, one stream in layers.

    python examples/video_layers.py --port 8090        and open http://127.0.0.1:8090

Whoever turns a camera on sees it come back, the smallest picture first, then the larger one. A consumer's preference
is the most that it gets; what comes is as much of it as the network carries. ``aiohttp_room.py`` is the room. Needs
aiohttp.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial

from aiohttp import web
from aiohttp_room import CONFERENCE, application, arguments, serve

from worker_bridge import Consumer, ConsumerLayers, ResourceClosed, Router, Transport, parse_scalability_mode


class Director:
    """Goes up through the layers of each camera that is shown to somebody."""

    def __init__(self, router: Router) -> None:
        self._shows: set[asyncio.Task[None]] = set()
        router.events.on("newtransport", self._listen)

    async def close(self) -> None:
        for show in self._shows:
            show.cancel()
        await asyncio.gather(*self._shows, return_exceptions=True)

    def _listen(self, transport: Transport) -> None:
        transport.events.on("newconsumer", self._direct)

    def _direct(self, consumer: Consumer) -> None:
        if consumer.kind == "video":
            show = asyncio.create_task(step_up(consumer), name=f"layers of {consumer.id}")
            self._shows.add(show)
            show.add_done_callback(self._shows.discard)


async def step_up(consumer: Consumer) -> None:
    mode = parse_scalability_mode(consumer.rtp_parameters.encodings[0].scalability_mode)
    print(f"{consumer.type}: {mode.spatial_layers} sizes at {mode.temporal_layers} rates", flush=True)
    with suppress(ResourceClosed):  # who saw it has left
        for size in range(mode.spatial_layers):
            comes = consumer.wait_for("layerschange", partial(is_of_size, size))
            await consumer.set_preferred_layers(ConsumerLayers(size))
            await comes
            print(f"{consumer.type}: size {size} comes", flush=True)


def is_of_size(size: int, layers: ConsumerLayers | None) -> bool:
    return layers is not None and layers.spatial_layer == size


async def direct(app: web.Application) -> AsyncIterator[None]:
    director = Director(app[CONFERENCE].router)
    yield
    await director.close()


if __name__ == "__main__":
    given = arguments(__doc__).parse_args()
    app = application(given.media_ip, given.client, echo=True)
    app.cleanup_ctx.append(direct)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(given.host, given.port, app))
