"""A room for browsers under aiohttp, with mediasoup-client over JSON: voices, cameras and chat.

    python examples/aiohttp_room.py --port 8090 --echo        and open http://127.0.0.1:8090

``conference.py`` has what is said in JSON; here is the way that it takes, a WebSocket. ``--echo`` shows everybody
themselves, so that one window is enough. Needs aiohttp.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web
from conference import CLIENT, Conference, page

CONFERENCE = web.AppKey("conference", Conference)


async def talk(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(heartbeat=10)
    await socket.prepare(request)
    await request.app[CONFERENCE].visit((message.json() async for message in socket), socket.send_json)
    return socket


def application(media_ip: str, client: str, *, echo: bool) -> web.Application:
    """The worker lives as long as the application: aiohttp starts and ends it."""

    async def lifetime(app: web.Application) -> AsyncIterator[None]:
        async with Conference.running(media_ip, echo=echo) as app[CONFERENCE]:
            yield

    async def index(_: web.Request) -> web.Response:
        return web.Response(text=page(client), content_type="text/html")

    app = web.Application()
    app.cleanup_ctx.append(lifetime)
    app.add_routes([web.get("/", index), web.get("/ws", talk)])
    return app


async def serve(host: str, port: int, app: web.Application) -> None:
    """Until the worker ends."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        print(f"room: http://{host}:{runner.addresses[0][1]}", flush=True)
        await app[CONFERENCE].worker.wait_gone()
    finally:
        await runner.cleanup()
    raise SystemExit("the worker ended")


def arguments(about: str | None) -> argparse.ArgumentParser:
    """What every program here takes that has this room."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="where the page is served (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="its port (default: a free one)")
    parser.add_argument(
        "--media-ip", default="127.0.0.1", help="an address that browsers can reach (default: loopback)"
    )
    parser.add_argument("--client", default=CLIENT, help="the URL of mediasoup-client as a module")
    return parser


if __name__ == "__main__":
    parser = arguments(__doc__)
    parser.add_argument("--echo", action="store_true", help="show everybody themselves, too")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(given.host, given.port, application(given.media_ip, given.client, echo=given.echo)))
