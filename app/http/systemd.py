"""Tells systemd that the service is ready, alive and about to stop (sd_notify(3)), where systemd wants to know."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)


@asynccontextmanager
async def service() -> AsyncIterator[None]:
    """Tells that it is ready at the beginning of the block, alive while the event loop runs in it, stopping at its
    end."""
    notify("READY=1")
    alive = asyncio.create_task(keep_alive(), name="watchdog")
    try:
        yield
    finally:
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)
        notify("STOPPING=1")


async def keep_alive() -> None:
    """Notify twice within ``WatchdogSec``, where the unit has one (sd_watchdog_enabled(3))."""
    limit_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    while limit_us:
        notify("WATCHDOG=1")
        await asyncio.sleep(limit_us / 2_000_000)


def notify(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        log.warning("systemd could not be notified of %s: %s", state, error)
