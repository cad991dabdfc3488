"""What an otomo's calls cost: the ledger's word, remembered for a moment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from app.calls.rates import REMEMBERED_S, Rates
from app.errors import BadRequest
from app.ledger import Ledger
from app.ledger.values import Rate
from app.tariffs import Terms
from schemas.tariff import Tariff

NODES = Tariff(unit_seconds=60, unit_points=100, max_seconds=3600)
BLOCKS = Tariff(unit_seconds=180, unit_points=300)


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
    assert await Rates(ledger, NODES).of("hana") == Terms(100, NODES)


async def test_a_price_that_is_set_here_counts_at_once_and_for_others_too(ledger: Ledger) -> None:
    here, elsewhere = Rates(ledger, NODES), Rates(ledger, NODES)
    assert await here.of("hana") == Terms(100, NODES)
    await here.set("hana", Rate(0), at_ms=1)
    free = Terms(0, replace(NODES, unit_points=0))
    assert await here.of("hana") == free
    assert await elsewhere.of("hana") == free
    assert await ledger.rate("hana") == Rate(0)


async def test_a_change_of_another_node_is_seen_after_a_moment(ledger: Ledger) -> None:
    clock = Hands()
    rates = Rates(ledger, NODES, clock)
    assert (await rates.of("hana")).price_per_minute == 100
    await ledger.set_rate("hana", Rate(70), at_ms=1)
    assert (await rates.of("hana")).price_per_minute == 100
    clock.now += REMEMBERED_S + 0.1
    assert (await rates.of("hana")).price_per_minute == 70


async def test_a_tariff_that_is_set_counts_whole_but_for_a_limit_that_it_has_not(ledger: Ledger) -> None:
    await Rates(ledger, NODES).set("hana", Rate(BLOCKS.price_per_minute, BLOCKS), at_ms=1)
    assert await Rates(ledger, NODES).of("hana") == Terms(100, replace(BLOCKS, max_seconds=3600))
    limited = replace(BLOCKS, max_seconds=600)
    await Rates(ledger, NODES).set("hana", Rate(100, limited), at_ms=2)
    assert await Rates(ledger, NODES).of("hana") == Terms(100, limited)


@pytest.mark.parametrize(
    ("rate", "place"),
    [
        (Rate(6_000_000, Tariff(unit_seconds=1, unit_points=100_000, minimum_units=3600, free_seconds=1)), "tariff."),
        (Rate(1_000_000_000), "pricePerMinute"),
    ],
)
async def test_what_no_call_can_have_is_refused_with_its_place_and_not_stored(
    ledger: Ledger, rate: Rate, place: str
) -> None:
    rates = Rates(ledger, replace(NODES, unit_seconds=1.0))
    with pytest.raises(BadRequest, match=f"^{place}"):
        await rates.set("hana", rate, at_ms=1)
    assert await ledger.rate("hana") is None
