"""What describes the interfaces to programs, made from the schemas that check them."""

from __future__ import annotations

from functools import cache

import orjson
from aiohttp import web

from app.body import JSON
from app.signaling import asyncapi

routes = web.RouteTableDef()


@routes.get("/asyncapi.json")
async def get_asyncapi(_: web.Request) -> web.Response:
    """The WebSocket: AsyncAPI 3.0."""
    return web.Response(body=described_socket(), headers={"Content-Type": JSON})


@cache
def described_socket() -> bytes:
    return orjson.dumps(asyncapi.document())
