"""The descriptions of the interfaces: documents for programs, made from the schemas that check bodies, and a page on
which people read and try them."""

from __future__ import annotations

from functools import cache

import msgspec
from aiohttp import hdrs, web

from app.errors import NOT_FOUND
from app.http.middleware import public
from app.http.responses import JSON
from app.openapi.declaration import answers
from app.openapi.document import Document
from app.signaling import asyncapi
from app.web.build import BUILT, HERE
from app.web.pages import ASSET, HTML, POLICY, Page

DOCUMENT = web.AppKey("document", Document)

READER = "swagger-ui-bundle.js"
PAGE = Page((HERE / "docs", HERE / "shared", BUILT / "swagger-ui"))
PICTURES_IN_STYLES = POLICY.replace(
    "img-src 'self'", "img-src 'self' data:"
)  # Swagger UI has pictures in its style sheet

routes = web.RouteTableDef()


@routes.get("/openapi.json")
@public
@answers({200: ("application/json",)})
async def get_openapi(request: web.Request) -> web.Response:
    """This description: OpenAPI 3.1."""
    return web.Response(body=request.app[DOCUMENT].raw, headers={hdrs.CONTENT_TYPE: JSON})


@routes.get("/asyncapi.json")
@public
@answers({200: ("application/json",)})
async def get_asyncapi(_: web.Request) -> web.Response:
    """The WebSocket's description: AsyncAPI 3.0."""
    return web.Response(body=described_socket(), headers={hdrs.CONTENT_TYPE: JSON})


@routes.get("/docs")
@public
@answers({200: HTML, 503: HTML})
async def get_docs(_: web.Request) -> web.StreamResponse:
    """The page on which people read and try this interface. 503 where its files are not built."""
    built = (BUILT / "swagger-ui" / READER).is_file()
    page = PAGE.index() if built else web.FileResponse(HERE / "docs" / "unbuilt.html", status=503, headers=PAGE.headers)
    page.headers["Content-Security-Policy"] = PICTURES_IN_STYLES
    return page


@routes.get("/docs/assets/{name}")
@public
@answers({200: ASSET}, NOT_FOUND)
async def get_docs_asset(request: web.Request) -> web.StreamResponse:
    """A file of that page."""
    return PAGE.asset(request.match_info["name"])


@cache
def described_socket() -> bytes:
    return msgspec.json.encode(asyncapi.document())
