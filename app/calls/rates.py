"""Otomos' prices, read from the ledger and remembered for a moment, so that not every call reads them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from app.ledger import Ledger

REMEMBERED_S = 5.0  # how late another node's change may be noticed
REMEMBERED = 10_000  # otomos


class Rates:
    """Prices in points a minute. ``default`` is for otomos without a price of their own."""

    def __init__(self, ledger: Ledger, default: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._default = default
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, int | None]] = OrderedDict()

    async def of(self, otomo_id: str) -> int:
        """The price of a call that is made now."""
        at, rate = self._known.get(otomo_id, (float("-inf"), None))
        if self._clock() - at > REMEMBERED_S:
            rate = await self._ledger.rate(otomo_id)
            self._remember(otomo_id, rate)
        return self._default if rate is None else rate

    async def set(self, otomo_id: str, price_per_minute: int, *, at_ms: int) -> None:
        """Set an otomo's price from now on; calls that exist keep theirs."""
        await self._ledger.set_rate(otomo_id, price_per_minute, at_ms=at_ms)
        self._remember(otomo_id, price_per_minute)

    def _remember(self, otomo_id: str, rate: int | None) -> None:
        self._known[otomo_id] = (self._clock(), rate)
        self._known.move_to_end(otomo_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
