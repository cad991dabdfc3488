"""What a node does now and then for itself: it forgets what is old, and collects garbage while nobody talks."""

from __future__ import annotations

import asyncio
import gc
import logging

from app.calls.journal import Journal
from app.calls.registry import Registry
from app.clock import now
from app.ledger import Ledger
from app.ledger.errors import LedgerUnavailable

EVENTS_KEPT_MS = 60 * 60 * 1000  # how far back a client that reconnects can catch up
DAY_MS = 24 * 60 * 60 * 1000
DELIVERED_KEPT_MS = 3 * DAY_MS  # webhook deliveries, which can be replayed for as long
UNDELIVERED_KEPT_MS = 30 * DAY_MS
PRUNE_EVERY_S = 600.0
EXPIRE_EVERY_S = 5.0
COLLECT_EVERY_S = 60.0

logger = logging.getLogger(__name__)


async def prune(ledger: Ledger, never_connected_days: int, audit_days: int) -> None:
    """Delete old events, calls that never connected, webhook deliveries and lines of the audit log, again and again
    until cancelled. Of 0 days nothing is deleted."""
    while True:
        await asyncio.sleep(PRUNE_EVERY_S)
        try:
            await ledger.prune_events(before_ms=now().utc_ms - EVENTS_KEPT_MS)
            if never_connected_days:
                await ledger.prune_calls(before_ms=now().utc_ms - never_connected_days * DAY_MS)
            if audit_days:
                await ledger.audit_log.prune(before_ms=now().utc_ms - audit_days * DAY_MS)
            await ledger.supervisions.forget_ended()
            await ledger.webhooks.prune(
                delivered_before_ms=now().utc_ms - DELIVERED_KEPT_MS,
                others_before_ms=now().utc_ms - UNDELIVERED_KEPT_MS,
            )
        except LedgerUnavailable as error:
            logger.warning("old events and calls could not be deleted now: %s", error)


async def expire_points(journal: Journal) -> None:
    """Take out points that have expired, again and again until cancelled. Who spends before that spends none of
    them."""
    while True:
        await asyncio.sleep(EXPIRE_EVERY_S)
        try:
            await journal.expire_points()
        except LedgerUnavailable as error:
            logger.warning("points that have expired could not be taken out now: %s", error)


async def collect_when_idle(registry: Registry) -> None:
    """Collect garbage whenever no call is live, until cancelled. A precaution: calls leave no reference cycles."""
    while True:
        await asyncio.sleep(COLLECT_EVERY_S)
        if not len(registry):
            gc.collect()
