"""Whatever happens, in whatever order and however much at once, the ledger adds up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from itertools import count
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.ledger import Ledger
from app.ledger.errors import LedgerError
from app.ledger.values import Charged, ChargeResult, Ended
from schemas.call import CallState
from tests.app.ledger.ledger_samples import CONNECTED, START, end_call, matched_call, move, open_call, unit

EXAMPLES = count()


@dataclass(frozen=True)
class Charge:
    units: tuple[tuple[int, int], ...]  # (call, index)


@dataclass(frozen=True)
class Adjust:
    user: int
    amount: int
    key: int


@dataclass(frozen=True)
class End:
    call: int


USERS, CALLS = 2, 4
STEPS = st.lists(
    st.one_of(
        st.builds(
            Charge,
            st.lists(st.tuples(st.integers(0, CALLS - 1), st.integers(1, 4)), min_size=1, max_size=5).map(tuple),
        ),
        st.builds(Adjust, st.integers(0, USERS - 1), st.integers(-250, 250), st.integers(0, 8)),
        st.builds(End, st.integers(0, CALLS - 1)),
    ),
    max_size=25,
)


@given(
    steps=STEPS,
    at_once=st.integers(1, 8),
    prices=st.lists(st.sampled_from([0, 1, 60, 100]), min_size=CALLS, max_size=CALLS),
    balances=st.lists(st.integers(0, 400), min_size=USERS, max_size=USERS),
)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
async def test_the_ledger_adds_up(
    ledger: Ledger, other: Ledger, steps: list[Any], at_once: int, prices: list[int], balances: list[int]
) -> None:
    run = next(EXAMPLES)
    for user, points in enumerate(balances):
        await ledger.adjust(f"{run}-{user}", points, reason="start", idempotency_key=f"{run} start {user}", at_ms=START)
    for call, price in enumerate(prices):
        await open_call(ledger, matched_call(f"{run}-{call}", f"{run}-{call % USERS}", price_per_minute=price))
        await move(ledger, f"{run}-{call}", CallState.TALKING, cause="rtp", at_ms=CONNECTED)
    results: list[Any] = []
    for start in range(0, len(steps), at_once):
        together = [do((ledger, other)[i % 2], run, step) for i, step in enumerate(steps[start : start + at_once])]
        results += await asyncio.gather(*together, return_exceptions=True)
    surprises = [one for one in results if isinstance(one, BaseException) and not isinstance(one, LedgerError)]
    assert not surprises
    assert await ledger.audit() == ()
    charges = [one for result in results if isinstance(result, list) for one in result if isinstance(one, Charged)]
    fresh = [one.unit for one in charges if not one.already]
    assert len({(unit.call_id, unit.index) for unit in fresh}) == len(fresh)
    for call, price in enumerate(prices):
        billing = await ledger.billing(f"{run}-{call}")
        assert billing.units == tuple(sorted((one for one in fresh if one.call_id == billing.call_id), key=by_index))
        assert all(0 <= one.points <= price for one in billing.units)
        ends = [one for one in results if isinstance(one, Ended) and one.call.id == billing.call_id]
        assert sum(not one.already for one in ends) == bool(ends)
        assert all(one.call.billed_points == billing.total_points for one in ends)


def by_index(unit: Any) -> int:
    index: int = unit.index
    return index


def do(ledger: Ledger, run: int, step: Charge | Adjust | End) -> Awaitable[list[ChargeResult] | Any]:
    match step:
        case Charge(units):
            return ledger.charge_units([unit(index, f"{run}-{call}") for call, index in units])
        case Adjust(user, amount, key):
            return ledger.adjust(f"{run}-{user}", amount, reason="any", idempotency_key=f"{run} {key}", at_ms=START)
        case End(call):
            return end_call(ledger, f"{run}-{call}", reason="any", ended_at_ms=CONNECTED, duration_seconds=0)
