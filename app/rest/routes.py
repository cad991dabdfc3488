"""All endpoints, in the order in which the API's description lists them."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from app.rest import (
    admin,
    announcing,
    audit,
    bans,
    calls,
    demo,
    docs,
    export,
    health,
    live,
    metrics,
    node,
    nodes,
    people,
    points,
    preflights,
    recordings,
    rtc,
    supervision,
    wallet,
    webhooks,
)
from app.web import pages

ROUTES: Final[tuple[web.AbstractRouteDef, ...]] = (
    *rtc.routes,
    *preflights.routes,
    *calls.routes,
    *wallet.routes,
    *admin.routes,
    *announcing.routes,
    *points.routes,
    *webhooks.routes,
    *live.routes,
    *recordings.routes,
    *supervision.routes,
    *audit.routes,
    *people.routes,
    *bans.routes,
    *export.routes,
    *node.routes,
    *nodes.routes,
    *health.routes,
    *metrics.routes,
    *docs.routes,
    *pages.routes,
    *demo.routes,
)
