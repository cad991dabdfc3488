"""How supervision is wired into the application."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from app.keys import AUTHENTICATOR, CALLS, JOURNAL, LIFECYCLE, REGISTRY, SETTINGS, SUPERVISORS
from app.supervision.supervisors import Supervisors
from app.tasks import Tasks


async def supervision(app: web.Application) -> AsyncIterator[None]:
    settings, lifecycle, background = app[SETTINGS], app[LIFECYCLE], Tasks()
    supervisors = app[SUPERVISORS] = Supervisors(
        app[CALLS].live,
        app[REGISTRY],
        app[JOURNAL],
        app[AUTHENTICATOR].standing,
        enabled=settings.supervision,
        told=settings.supervision_told,
    )
    lifecycle.on_room(supervisors.room_entered)
    lifecycle.on_producer(supervisors.producer_changed)
    lifecycle.on_left(supervisors.call_left)
    background.keep(supervisors.run, "supervision")
    yield
    await background.close()
    await supervisors.close()
