"""An otomo's price: the ledger's word, remembered for a moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.calls.rates import REMEMBERED_S, Rates
from app.ledger import Ledger


class Hands:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    async with Ledger.open(f"sqlite:///{tmp_path}/rates.sqlite") as ledger:
        yield ledger


async def test_an_otomo_without_a_price_costs_the_default(ledger: Ledger) -> None:
    assert await Rates(ledger, 100).of("hana") == 100


async def test_a_price_that_is_set_here_counts_at_once_and_for_others_too(ledger: Ledger) -> None:
    here, elsewhere = Rates(ledger, 100), Rates(ledger, 100)
    assert await here.of("hana") == 100
    await here.set("hana", 0, at_ms=1)
    assert await here.of("hana") == 0
    assert await elsewhere.of("hana") == 0
    assert await ledger.rate("hana") == 0


async def test_a_change_of_another_node_is_seen_after_a_moment(ledger: Ledger) -> None:
    clock = Hands()
    rates = Rates(ledger, 100, clock)
    assert await rates.of("hana") == 100
    await ledger.set_rate("hana", 70, at_ms=1)
    assert await rates.of("hana") == 100
    clock.now += REMEMBERED_S + 0.1
    assert await rates.of("hana") == 70
