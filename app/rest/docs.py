"""What describes the interfaces to programs, made from the schemas that check them."""

from __future__ import annotations

from functools import cache

import orjson
from aiohttp import web

from app.body import JSON
from app.openapi.declaration import answers
from app.openapi.document import Document
from app.signaling import asyncapi

DOCUMENT = web.AppKey("document", Document)

routes = web.RouteTableDef()


@routes.get("/openapi.json")
@answers({200: ("application/json",)})
async def get_openapi(request: web.Request) -> web.Response:
    """This description: OpenAPI 3.1."""
    return web.Response(body=request.app[DOCUMENT].raw, headers={"Content-Type": JSON})


@routes.get("/asyncapi.json")
@answers({200: ("application/json",)})
async def get_asyncapi(_: web.Request) -> web.Response:
    """The WebSocket's description: AsyncAPI 3.0."""
    return web.Response(body=described_socket(), headers={"Content-Type": JSON})


@cache
def described_socket() -> bytes:
    return orjson.dumps(asyncapi.document())
