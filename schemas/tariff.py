"""What a call costs and how long it may last. Its arithmetic is in ``app/tariffs.py``."""

from __future__ import annotations

import math
from typing import Annotated, Final, Literal

from msgspec import UNSET, Meta, UnsetType

from schemas.base import Body
from schemas.types import MAX_PRICE, Price

DAY_S: Final = 86_400
MAX_MINIMUM: Final = 3_600  # units that are charged together

ChargeRule = Literal["elapsed", "started"]
"""Whether a unit costs when it is over, or when it begins."""
EndingReason = Literal["low_balance", "max_duration"]
"""Why a call ends by itself."""
UnitSeconds = Annotated[float, Meta(ge=0.001, le=DAY_S)]
FreeSeconds = Annotated[int, Meta(ge=0, le=DAY_S)]
UnitCount = Annotated[int, Meta(ge=1, le=MAX_MINIMUM)]
LongestSeconds = Annotated[int, Meta(ge=1, le=DAY_S)]


class Tariff(Body, frozen=True, kw_only=True, omit_defaults=False):
    """What a call costs: ``unit_points`` for each unit of ``unit_seconds``, once ``free_seconds`` have been talked.

    The first ``minimum_units`` are charged together. After ``max_seconds`` of talk the call ends; where that is left
    out, the node has a limit.
    """

    unit_seconds: UnitSeconds
    unit_points: Price
    charge: ChargeRule = "elapsed"
    free_seconds: FreeSeconds = 0
    minimum_units: UnitCount = 1
    max_seconds: LongestSeconds | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.price_per_minute > MAX_PRICE:
            raise ValueError(f"unitPoints: must be at most {MAX_PRICE} a minute")
        if self.max_seconds is UNSET or not self.unit_points:
            return
        if self.free_seconds + self.minimum_units * self.unit_seconds > self.max_seconds:
            raise ValueError("minimumUnits: must be over, like freeSeconds before them, within maxSeconds")

    @property
    def price_per_minute(self) -> int:
        """In points; a fraction counts as one."""
        return math.ceil(self.unit_points * 60 / self.unit_seconds)
