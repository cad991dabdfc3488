"""What Prometheus reads."""

from __future__ import annotations

import asyncio

from aiohttp import web
from prometheus_client.exposition import choose_encoder

from app.http.middleware import admin_only
from app.keys import GAUGES, METRICS
from app.openapi.declaration import answers

routes = web.RouteTableDef()


@routes.get("/metrics")
@answers({200: ("text/plain", "application/openmetrics-text")})
@admin_only
async def get_metrics(request: web.Request) -> web.Response:
    """Metrics in Prometheus' text format, or in OpenMetrics where that is accepted. For admins, and for the bearer of
    `METRICS_TOKEN`."""
    request.app[GAUGES].read()
    write, content_type = choose_encoder(request.headers.get("Accept", ""))
    # In a thread, because it takes as long as dozens of requests.
    text = await asyncio.to_thread(write, request.app[METRICS].registry)
    return web.Response(body=text, headers={"Content-Type": content_type})
