"""What systemd is told of a service (sd_notify(3)): that it is ready, alive, and about to stop. Unasked, nothing."""

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
    """Ready at the beginning of the block, alive as long as the event loop turns in it, stopping at its end."""
    tell("READY=1")
    alive = asyncio.create_task(keep_alive(), name="watchdog")
    try:
        yield
    finally:
        alive.cancel()
        await asyncio.gather(alive, return_exceptions=True)
        tell("STOPPING=1")


async def keep_alive() -> None:
    """Twice within ``WatchdogSec``, where the unit has one (sd_watchdog_enabled(3))."""
    limit_us = int(os.environ.get("WATCHDOG_USEC", "0"))
    while limit_us:
        tell("WATCHDOG=1")
        await asyncio.sleep(limit_us / 2_000_000)


def tell(state: str) -> None:
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            to_systemd.sendto(state.encode(), f"\0{address[1:]}" if address.startswith("@") else address)
    except OSError as error:
        log.warning("systemd can't be told %s: %s", state, error)
