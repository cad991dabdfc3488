"""What Prometheus reads."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from app.keys import METRICS, STANDING, claims

routes = web.RouteTableDef()


@routes.get("/metrics")
async def get_metrics(request: web.Request) -> web.Response:
    """In Prometheus' text format, or in OpenMetrics for whoever asks for it. Written in a thread: it takes as long as
    dozens of requests."""
    claims(request).require_admin()
    request.app[STANDING].look()
    write, content_type = choose_encoder(request.headers.get("Accept", ""))
    text = await asyncio.to_thread(write, request.app[METRICS].registry)
    return web.Response(body=text, headers={"Content-Type": content_type})
