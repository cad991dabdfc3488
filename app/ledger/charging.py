"""Charging billable units: many in one transaction, each exactly once, never more than a wallet holds.

All calls and wallets of a batch are locked first; then each unit is decided in memory, one after the other, and the
result is stored table by table. So a batch takes a handful of statements and one commit, however many units it has, and
no unit can spoil another: refusals are decided before anything is written.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, select

from app.ledger import billing_events, calls, events, wallets
from app.ledger.bulk import BulkInsert
from app.ledger.notices import BalanceChanged
from app.ledger.tables import call_units, point_transactions
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
    Wallet,
)
from schemas.signaling import TickStatus

MAX_BATCH = 500  # units in one transaction: other writers wait some tens of milliseconds for it
REASON = "unit"  # on the wallet's statement
ADD_UNITS = BulkInsert(call_units)
ADD_DEBITS = BulkInsert(point_transactions)


def charge_units(tx: Connection, node: str, due: Sequence[UnitDue]) -> list[ChargeResult]:
    """Charge units of calls of ``node``. Returns one result per unit, in their order."""
    locked = calls.lock(tx, {unit.call_id for unit in due})
    batch = ChargeBatch(node, locked, wallets.lock(tx, {call.user_id for call in locked.values()}))
    applied = [batch.apply(unit) for unit in due]
    told = batch.write(tx)
    results: list[ChargeResult] = []
    for unit, result in zip(due, applied, strict=True):
        match result:
            case None:
                results.append(_stored(tx, locked[unit.call_id], unit.index))
            case Charged():
                results.append(replace(result, events=tuple(told[unit.call_id, unit.index])))
            case refusal:
                results.append(refusal)
    return results


def status_after(balance: int | None, price: int) -> TickStatus:
    """How long a balance lasts at a price per unit; a free call can always go on."""
    if price == 0 or (balance is not None and balance >= price):
        return TickStatus.OK
    return TickStatus.LOW_BALANCE if balance else TickStatus.ENDED


class ChargeBatch:
    """The calls and wallets of a batch, all locked, and what is to be written."""

    def __init__(self, node: str, locked_calls: dict[str, Call], locked_wallets: dict[str, Wallet]) -> None:
        self._node = node
        self._calls = locked_calls
        self._wallets = locked_wallets
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
        wallet = self._wallets.get(call.user_id)
        balance = wallet.balance if wallet else None
        if call.price_per_minute and not balance:
            return PointsGone(call.id, call.user_id)
        return self._charge(call, due, balance)

    def _charge(self, call: Call, due: UnitDue, balance: int | None) -> Charged:
        points = min(balance or 0, call.price_per_minute)
        if points and balance is not None:
            before, balance = balance, balance - points
            change = BalanceChanged(call.user_id, before, balance, due.at_ms, call.price_per_minute, call.id)
            self._balances.append(change)
            self._wallets[call.user_id] = Wallet(call.user_id, balance, due.at_ms)
        total = call.billed_points + points
        unit = Unit(call.id, due.index, points, total, balance, due.talked_ms // 1000, due.at_ms)
        status = status_after(balance, call.price_per_minute)
        talked_ms = max(call.talked_ms, due.talked_ms)
        self._calls[call.id] = replace(call, billed_units=due.index, billed_points=total, talked_ms=talked_ms)
        self._units.append(unit)
        told = billing_events.unit_charged(call, unit, status)
        self._drafts += (events.Draft(event, due.at_ms, due.index) for event in told)
        return Charged(unit, status, ())

    def write(self, tx: Connection) -> dict[tuple[str, int], list[Event]]:
        """Store all that was decided. Returns each unit's events, by (call id, index)."""
        told: dict[tuple[str, int], list[Event]] = defaultdict(list)
        if not self._units:
            return told
        ADD_UNITS(tx, [self._row(unit) for unit in self._units])
        charged = [unit for unit in self._units if unit.points]
        if charged:
            payers = {self._calls[unit.call_id].user_id for unit in charged}
            wallets.put(tx, [self._wallets[payer] for payer in payers])
            ADD_DEBITS(tx, [self._debit(unit) for unit in charged])
        touched = {unit.call_id: self._calls[unit.call_id] for unit in self._units}
        totals = ("id", "billed_units", "billed_points", "talked_ms")
        calls.update_many(tx, [{name: getattr(call, name) for name in totals} for call in touched.values()])
        stored = events.append(tx, self._drafts, self._balances)
        for draft, event in zip(self._drafts, stored, strict=True):
            told[str(draft.event.call_id), draft.unit_index or 0].append(event)
        return told

    @staticmethod
    def _row(unit: Unit) -> dict[str, Any]:
        row = asdict(unit)
        return row | {"unit_index": row.pop("index")}

    def _debit(self, unit: Unit) -> dict[str, Any]:
        return {
            "user_id": self._calls[unit.call_id].user_id,
            "amount": -unit.points,
            "reason": REASON,
            "call_id": unit.call_id,
            "unit_index": unit.index,
            "balance_after": unit.balance_after,
            "at_ms": unit.charged_at_ms,
        }


def _stored(tx: Connection, call: Call, index: int) -> Charged:
    """The result of a unit that an earlier try has charged, as that try would have returned it."""
    query = select(call_units).where(call_units.c.call_id == call.id, call_units.c.unit_index == index)
    unit = calls.unit_of(tx.execute(query).mappings().one())
    status = status_after(unit.balance_after, call.price_per_minute)
    return Charged(unit, status, events.of_unit(tx, call.id, index), already=True)
