"""Refunds of calls: points that come back to the wallet that paid. All refunds of a call together never exceed what it
cost, which the database itself keeps (``calls.refunded_points``). Points that were paid for come back before bonus
points; neither expire then.

So many ``units`` are the last ones that no earlier refund of units has given back.
"""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select

from app.ledger import audit_log, billing_events, calls, events, purses, wallets
from app.ledger.audit_log import Entry
from app.ledger.errors import KeyReused, RefundTooHigh, UnknownCall
from app.ledger.notices import BalanceChanged
from app.ledger.tables import call_units, point_transactions, refunds
from app.ledger.values import Call, RefundAsked, Refunded, Wallet


def refund(tx: Connection, asked: RefundAsked, at_ms: int, noted: Entry | None) -> Refunded:
    """See ``Ledger.refund``."""
    call = calls.lock(tx, [asked.call_id]).get(asked.call_id)
    if call is None:
        raise UnknownCall(asked.call_id)
    earlier = _earlier(tx, asked)
    if earlier is not None:
        return earlier
    points = asked.points or _points_of(tx, call, asked.units or 0)
    left = call.billed_points - call.refunded_points
    if not 0 < points <= left:
        raise RefundTooHigh(call.id, "points" if asked.units is None else "units", left if asked.units is None else 0)
    wallets.make(tx, call.user_id, at_ms)
    purse = purses.lock(tx, [call.user_id])[call.user_id]
    before = purse.wallet.balance
    purse.settle(at_ms)
    bonus = max(0, points - _paid_left(tx, call))
    line = {"reason": asked.reason, "idempotency_key": asked.key, "at_ms": at_ms, "kind": wallets.REFUND}
    purse.put(points, bonus, at_ms, line)
    line_id, wallet = purses.store_line(tx, purse), purse.wallet
    purses.add_lot(tx, line_id, purse.lines[-1], "bonus", bonus, None)
    total = call.refunded_points + points
    given = {"call_id": call.id, "points": points, "units": asked.units, "refunded_after": total}
    tx.execute(insert(refunds), given | {"transaction_id": line_id})
    calls.update_many(tx, [{"id": call.id, "refunded_points": total}])
    if noted is not None:
        audit_log.note(tx, noted)
    told = [billing_events.wallet_changed(call.user_id, wallet.balance, "refund", at_ms)]
    change = BalanceChanged(call.user_id, before, wallet.balance, at_ms, adjustment=(asked.reason, asked.key))
    return Refunded(wallet, points, total, events.append(tx, events.drafts(told, at_ms), [change]))


def _earlier(tx: Connection, asked: RefundAsked) -> Refunded | None:
    line = wallets.line_of_key(tx, asked.key)
    if line is None:
        return None
    row = tx.execute(select(refunds).where(refunds.c.transaction_id == line["id"])).mappings().one_or_none()
    if row is None or (row["call_id"], row["units"], line["reason"]) != (asked.call_id, asked.units, asked.reason):
        raise KeyReused(asked.key)
    if asked.points is not None and asked.points != row["points"]:
        raise KeyReused(asked.key)
    wallet = Wallet(line["user_id"], line["balance_after"], line["at_ms"])
    return Refunded(wallet, row["points"], row["refunded_after"], (), already=True)


def _paid_left(tx: Connection, call: Call) -> int:
    """How many of the points that were paid for have not been given back: they come before bonus points."""
    spent = tx.scalar(
        select(func.coalesce(func.sum(call_units.c.bonus_points), 0)).where(call_units.c.call_id == call.id)
    )
    if not spent:
        return call.billed_points - call.refunded_points
    given = select(func.coalesce(func.sum(point_transactions.c.bonus_amount), 0)).join_from(refunds, point_transactions)
    bonus_given = tx.scalar(given.where(refunds.c.call_id == call.id))
    return call.billed_points - int(spent) - (call.refunded_points - int(bonus_given or 0))


def _points_of(tx: Connection, call: Call, units: int) -> int:
    """What the last so many units cost that were not given back yet. Raises RefundTooHigh."""
    given = select(func.coalesce(func.sum(refunds.c.units), 0)).where(refunds.c.call_id == call.id)
    left = call.billed_units - int(tx.execute(given).scalar_one())
    if units > left:
        raise RefundTooHigh(call.id, "units", max(0, left))
    mine = (call_units.c.call_id == call.id, call_units.c.unit_index.between(left - units + 1, left))
    return int(tx.execute(select(func.sum(call_units.c.points)).where(*mine)).scalar_one())
