"""What calls cost: the node's terms, and otomos' own, which are read from the ledger and remembered for a moment:
not every call reads them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from msgspec import UNSET
from msgspec.structs import replace

from app.errors import BadRequest
from app.ledger import Ledger
from app.ledger.values import Rate
from app.tariffs import Terms
from schemas.tariff import Tariff

REMEMBERED_S = 5.0  # how late another node's change may be noticed
REMEMBERED = 10_000  # otomos


class Rates:
    """The terms of calls that are made now. ``default`` is for otomos without their own; its ``max_seconds`` is the
    limit of all tariffs that have none."""

    def __init__(self, ledger: Ledger, default: Tariff, clock: Callable[[], float] = time.monotonic) -> None:
        self._ledger = ledger
        self._default = Terms(default.unit_points, default)
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, Rate | None]] = OrderedDict()

    async def of(self, otomo_id: str) -> Terms:
        """The terms of the otomo's calls."""
        at, rate = self._known.get(otomo_id, (float("-inf"), None))
        if self._clock() - at > REMEMBERED_S:
            rate = await self._ledger.rate(otomo_id)
            self._remember(otomo_id, rate)
        return self._default if rate is None else self.terms_of(rate)

    def terms_of(self, rate: Rate) -> Terms:
        """The node's tariff at another price; or a tariff of its own. Raises BadRequest where no call can have it."""
        default, path = self._default.tariff, "pricePerMinute" if rate.tariff is None else "tariff"
        try:
            if rate.tariff is None:
                return Terms(rate.price_per_minute, replace(default, unit_points=rate.price_per_minute))
            if rate.tariff.max_seconds is UNSET:
                return Terms(rate.price_per_minute, replace(rate.tariff, max_seconds=default.max_seconds))
        except ValueError as error:
            place, _, problem = str(error).partition(": ")
            raise BadRequest.at(path if rate.tariff is None else f"{path}.{place}", problem) from error
        return Terms(rate.price_per_minute, rate.tariff)

    async def set(self, otomo_id: str, rate: Rate, *, at_ms: int) -> None:
        """Set an otomo's price or tariff from now on; calls that exist keep theirs. Raises BadRequest as terms_of."""
        self.terms_of(rate)
        await self._ledger.set_rate(otomo_id, rate, at_ms=at_ms)
        self._remember(otomo_id, rate)

    def _remember(self, otomo_id: str, rate: Rate | None) -> None:
        self._known[otomo_id] = (self._clock(), rate)
        self._known.move_to_end(otomo_id)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
