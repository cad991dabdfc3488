"""create_app: the only place that wires. What lives as long as the application is opened and closed here, in order."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson
from aiohttp import web

from app.auth import Authenticator
from app.body import MAX_BODY_BYTES
from app.calls.media import capabilities_of, codecs_of
from app.calls.registry import Calls
from app.calls.room import RoomLimits
from app.keys import AUTHENTICATOR, CALLS, CAPABILITIES, ICE_SERVERS, POOL, RATE_LIMITER, SETTINGS
from app.middleware import edge
from app.ratelimit import RateLimiter
from app.rest import admin, health, rtc
from app.settings import Settings
from app.turn import ice_servers
from schemas.base import dump
from schemas.consumer import Capabilities, CapabilitiesSchema
from worker_bridge import native
from worker_bridge.pool import Pool, PoolSettings


def create_app(settings: Settings) -> web.Application:
    """The whole control plane. Its workers start with it and end with it."""
    app = web.Application(middlewares=[edge], client_max_size=MAX_BODY_BYTES)
    app[SETTINGS] = settings
    app[RATE_LIMITER] = RateLimiter(settings.rate_limit)
    app[ICE_SERVERS] = ice_servers(settings)
    capabilities = Capabilities(capabilities_of(settings.media_kinds))
    app[CAPABILITIES] = orjson.dumps(dump(CapabilitiesSchema, capabilities))
    for routes in (rtc.routes, admin.routes, health.routes):
        app.add_routes(routes)
    app.cleanup_ctx.extend([authenticator, workers, calls])
    return app


async def authenticator(app: web.Application) -> AsyncIterator[None]:
    async with Authenticator.open(app[SETTINGS]) as app[AUTHENTICATOR]:
        yield


async def workers(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    worker = native.locate(str(settings.worker_bin) if settings.worker_bin else None)
    pool_settings = PoolSettings(
        workers=settings.workers,
        listen_ip=settings.rtc_listen_ip,
        announced_address=settings.rtc_announced_address,
        first_port=settings.rtc_port,
    )
    async with Pool.running(worker, pool_settings) as app[POOL]:
        yield


async def calls(app: web.Application) -> AsyncIterator[None]:
    settings = app[SETTINGS]
    limits = RoomLimits(settings.max_transports_per_direction, settings.max_producers_per_party)
    app[CALLS] = Calls(app[POOL], codecs_of(settings.media_kinds), limits, settings.price_per_minute, lambda *_: None)
    yield
    app[CALLS].close()
