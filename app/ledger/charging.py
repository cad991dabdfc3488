"""Charging billable units: many in one transaction, each exactly once, never more than a wallet holds.

All calls and wallets of a batch are locked first; then each unit is decided in memory, one after the other, and the
result is stored table by table. So a batch takes a handful of statements and one commit, however many units it has, and
no unit can spoil another: refusals are decided before anything is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from msgspec import UNSET
from sqlalchemy import Connection, select

from app.ledger import billing_events, calls, events, purses
from app.ledger.bulk import BulkInsert
from app.ledger.notices import BalanceChanged
from app.ledger.purses import Purse
from app.ledger.tables import call_units
from app.ledger.values import (
    CONNECTED_STATES,
    Call,
    Charged,
    ChargeResult,
    Event,
    PointsGone,
    Unit,
    UnitDue,
    UnitFenced,
    UnitRefused,
)
from app.tariffs import end_of
from schemas.signaling import TickStatus
from schemas.tariff import Tariff

MAX_BATCH = 500  # units in one transaction: other writers wait some tens of milliseconds for it
REASON = "unit"  # on the wallet's statement
ADD_UNITS = BulkInsert(call_units)


def charge_units(tx: Connection, node: str, due: Sequence[UnitDue]) -> list[ChargeResult]:
    """Charge units of calls of ``node``. Returns one result per unit, in their order."""
    locked = calls.lock(tx, {unit.call_id for unit in due})
    batch = ChargeBatch(node, locked, purses.lock(tx, {call.user_id for call in locked.values()}))
    applied = [batch.apply(unit) for unit in due]
    told = batch.write(tx)
    results: list[ChargeResult] = []
    for unit, result in zip(due, applied, strict=True):
        match result:
            case None:
                results.append(_stored(tx, locked[unit.call_id], unit))
            case Charged():
                results.append(replace(result, events=tuple(told[unit.call_id, unit.index])))
            case refusal:
                results.append(refusal)
    return results


def batches(due: Sequence[UnitDue]) -> Iterator[Sequence[UnitDue]]:
    """The units in order, as many at a time as one transaction can take."""
    start = weight = 0
    for place, unit in enumerate(due):
        if weight and weight + unit.count > MAX_BATCH:
            yield due[start:place]
            start, weight = place, 0
        weight += unit.count
    if due:
        yield due[start:]


def status_after(balance: int | None, tariff: Tariff) -> TickStatus:
    """How long a balance lasts after a unit. A free call can always go on; a unit that was paid at its beginning is
    still to be given."""
    if not tariff.unit_points or (balance is not None and balance >= tariff.unit_points):
        return TickStatus.OK
    return TickStatus.LOW_BALANCE if balance or tariff.charge == "started" else TickStatus.ENDED


def lasts_for(balance: int, tariff: Tariff, count: int) -> bool:
    """Whether anything of so many units can be charged: at their end the rest of a balance will do, at their beginning
    they have to be paid in full."""
    return balance >= (count * tariff.unit_points if tariff.charge == "started" else 1)


def remaining_s(call: Call, last: Unit, due: UnitDue) -> int | None:
    """For how long a call can go on after a unit: until its points or its longest duration are over. None for one of an
    older release, which has no limit of its own."""
    if call.tariff is None or call.tariff.max_seconds is UNSET:
        return None
    end = end_of(call.tariff, call.longest_s(0), last.index, last.balance_after or 0)
    return max(0, int(end.at_s - due.talked_ms / 1000))


class ChargeBatch:
    """The calls and wallets of a batch, all locked, and what is to be written."""

    def __init__(self, node: str, locked_calls: dict[str, Call], locked_purses: dict[str, Purse]) -> None:
        self._node = node
        self._calls = locked_calls
        self._purses = locked_purses
        self._units: list[Unit] = []
        self._drafts: list[events.Draft] = []
        self._balances: list[BalanceChanged] = []

    def apply(self, due: UnitDue) -> ChargeResult | None:
        """Decide a unit. Returns its refusal or, for one to be written, its result; None where it is stored or decided
        already."""
        call = self._calls.get(due.call_id)
        if call is None:
            return UnitRefused(due.call_id, due.index, None, None)
        if (call.node, call.epoch) != (self._node, due.epoch):
            return UnitFenced(call.id)
        if 1 <= due.index <= call.billed_units:
            return None
        if call.state not in CONNECTED_STATES or due.index != call.billed_units + 1:
            return UnitRefused(due.call_id, due.index, call.state, call.billed_units + 1)
        tariff = call.charged_by()
        if tariff.unit_points and not lasts_for(self._settled(call.user_id, due.at_ms), tariff, due.count):
            return PointsGone(call.id, call.user_id)
        units = [self._charge(due, due.index, tariff)]
        for index in range(due.index + 1, due.index + due.count):
            if tariff.unit_points and not units[-1].balance_after:
                break  # the rest of the balance was charged
            units.append(self._charge(due, index, tariff))
        status = status_after(units[-1].balance_after, tariff)
        told = billing_events.units_charged(call, units, status, remaining_s(call, units[-1], due))
        self._drafts += (events.Draft(event, due.at_ms, due.index) for event in told)
        return Charged(units[-1], status, (), before=tuple(units[:-1]))

    def _settled(self, user_id: str, at_ms: int) -> int:
        """A user's balance, without what has expired."""
        purse = self._purses.get(user_id)
        if purse is None:
            return 0
        before, expired = purse.wallet.balance, purse.expired
        purse.settle(at_ms)
        if purse.expired > expired:
            self._change(user_id, before, purse.wallet.balance, at_ms)
            told = billing_events.wallet_changed(user_id, purse.wallet.balance, "expiry", at_ms)
            self._drafts += events.drafts([told], at_ms)
        return purse.wallet.balance

    def _change(
        self, user_id: str, before: int, after: int, at_ms: int, next_unit: int = 0, call_id: str | None = None
    ) -> None:
        self._balances.append(BalanceChanged(user_id, before, after, at_ms, next_unit, call_id))

    def _charge(self, due: UnitDue, index: int, tariff: Tariff) -> Unit:
        call = self._calls[due.call_id]
        purse = self._purses.get(call.user_id)
        points, bonus = min(purse.wallet.balance if purse else 0, tariff.unit_points), 0
        if points and purse is not None:
            line = {"reason": REASON, "call_id": call.id, "unit_index": index, "at_ms": due.at_ms}
            before = purse.wallet.balance
            bonus = purse.spend(points, due.at_ms, line)
            self._change(call.user_id, before, purse.wallet.balance, due.at_ms, tariff.unit_points, call.id)
        total, left = call.billed_points + points, purse.wallet.balance if purse else None
        unit = Unit(call.id, index, points, total, left, due.talked_ms // 1000, due.at_ms, bonus)
        talked_ms = max(call.talked_ms, due.talked_ms)
        self._calls[call.id] = replace(call, billed_units=index, billed_points=total, talked_ms=talked_ms)
        self._units.append(unit)
        return unit

    def write(self, tx: Connection) -> dict[tuple[str, int], list[Event]]:
        """Store all that was decided. Returns each unit's events, by (call id, index)."""
        told: dict[tuple[str, int], list[Event]] = defaultdict(list)
        ADD_UNITS(tx, [self._row(unit) for unit in self._units])
        purses.store(tx, self._purses.values())
        touched = {unit.call_id: self._calls[unit.call_id] for unit in self._units}
        totals = ("id", "billed_units", "billed_points", "talked_ms")
        calls.update_many(tx, [{name: getattr(call, name) for name in totals} for call in touched.values()])
        stored = events.append(tx, self._drafts, self._balances, self._calls)
        for draft, event in zip(self._drafts, stored, strict=True):
            told[str(draft.event.call_id), draft.unit_index or 0].append(event)
        return told

    @staticmethod
    def _row(unit: Unit) -> dict[str, Any]:
        row = asdict(unit)
        return row | {"unit_index": row.pop("index")}


def _stored(tx: Connection, call: Call, due: UnitDue) -> Charged:
    """The result of units that an earlier try has charged, as that try would have returned it."""
    index = call_units.c.unit_index
    theirs = (call_units.c.call_id == call.id, index.between(due.index, due.index + due.count - 1))
    rows = tx.execute(select(call_units).where(*theirs).order_by(index)).mappings()
    *before, unit = map(calls.unit_of, rows)
    status = status_after(unit.balance_after, call.charged_by())
    told = events.of_unit(tx, call.id, due.index)
    return Charged(unit, status, told, already=True, before=tuple(before))
