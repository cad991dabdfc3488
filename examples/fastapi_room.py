"""A room for browsers under FastAPI, with mediasoup-client over JSON: voices, cameras and chat.

    python examples/fastapi_room.py --port 8090 --echo        and open http://127.0.0.1:8090

FastAPI's lifespan owns the worker: it is up before the first request, and ended after the last one. ``conference.py``
has what is said in JSON, and ``--echo`` shows everybody themselves. Needs fastapi, uvicorn and websockets.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import uvicorn
from conference import CLIENT, Conference, page
from fastapi import FastAPI, WebSocket
from fastapi.responses import HTMLResponse


def application(media_ip: str, client: str, *, echo: bool) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with Conference.running(media_ip, echo=echo) as app.state.conference:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def index() -> HTMLResponse:
        return HTMLResponse(page(client))

    @app.websocket("/ws")
    async def talk(browser: WebSocket) -> None:
        await browser.accept()
        conference: Conference = app.state.conference
        await conference.visit(browser.iter_json(), browser.send_json)

    return app


def main(host: str, port: int, app: FastAPI) -> None:
    with socket.create_server((host, port)) as listening:
        print(f"room: http://{host}:{listening.getsockname()[1]}", flush=True)
        settings = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
        uvicorn.Server(settings).run(sockets=[listening])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="where the page is served (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="its port (default: a free one)")
    parser.add_argument(
        "--media-ip", default="127.0.0.1", help="an address that browsers can reach (default: loopback)"
    )
    parser.add_argument("--client", default=CLIENT, help="the URL of mediasoup-client as a module")
    parser.add_argument("--echo", action="store_true", help="show everybody themselves, too")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        main(given.host, given.port, application(given.media_ip, given.client, echo=given.echo))
