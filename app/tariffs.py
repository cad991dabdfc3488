"""A tariff's arithmetic: when a unit is due, what a call needs, and when it ends by itself. Seconds are of talk:
interruptions do not count. Knows no clock and no wallet."""

from __future__ import annotations

import math
from typing import NamedTuple

from schemas.tariff import EndingReason, Tariff


class Terms(NamedTuple):
    """What a call costs: in points a minute, as it is shown, and the tariff by which it is charged."""

    price_per_minute: int
    tariff: Tariff

    @classmethod
    def by_unit(cls, price: int, unit_seconds: float = 60.0) -> Terms:
        """Each unit that is over costs the price, and nothing else is agreed."""
        return cls(price, Tariff(unit_seconds=unit_seconds, unit_points=price))


def due_s(tariff: Tariff, index: int) -> float:
    """After how many seconds unit ``index``, from 1, is due. Those of the minimum are due together, with the first."""
    charged_before = 1 if tariff.charge == "started" else 0
    number = 1 if index <= tariff.minimum_units else index
    return tariff.free_seconds + (number - charged_before) * tariff.unit_seconds


def due_together(tariff: Tariff, index: int) -> int:
    """How many units are charged with unit ``index``, itself included."""
    return tariff.minimum_units if index == 1 else 1


def needed_points(tariff: Tariff) -> int:
    """What a wallet must hold where a call is to cost something."""
    return tariff.unit_points * tariff.minimum_units


def needed_at_once(tariff: Tariff) -> int:
    """What a wallet must hold at a call's beginning."""
    return 0 if tariff.free_seconds else needed_points(tariff)


class End(NamedTuple):
    """When a call ends by itself, in seconds of talk, and why. ``charged``: what is left of the points is charged then;
    ``missing`` are the points with which it would go on for one more unit."""

    at_s: float
    reason: EndingReason
    charged: bool = False
    missing: int = 0


def end_of(tariff: Tariff, limit_s: float, billed_units: int, balance: int | None) -> End:
    """Where a call ends that nobody ends. ``balance`` is what its user has after so many units; None if unknown."""
    longest = End(limit_s, "max_duration")
    if not tariff.unit_points or balance is None:
        return longest
    by_points = _end_of_points(tariff, billed_units, balance)
    return by_points if by_points.at_s < limit_s else longest


def _end_of_points(tariff: Tariff, billed_units: int, balance: int) -> End:
    started, price = tariff.charge == "started", tariff.unit_points
    if not billed_units and balance < (needed := needed_points(tariff)) and (started or tariff.free_seconds):
        return End(tariff.free_seconds, "low_balance", missing=needed - balance)
    paid = balance // price
    if started:
        return End(due_s(tariff, billed_units + paid + 1), "low_balance", missing=(paid + 1) * price - balance)
    if not balance and billed_units:  # the last unit took what was left
        return End(due_s(tariff, billed_units), "low_balance", missing=price)
    units = max(1, math.ceil(balance / price))
    end_s = due_s(tariff, billed_units + units)
    least = units if billed_units else max(units, tariff.minimum_units)
    return End(end_s, "low_balance", charged=balance > 0, missing=(least + 1) * price - balance)
