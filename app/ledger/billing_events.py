"""The events about money and about a call's end. Knows no SQL."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UNSET, structs

from app.ledger.values import Call, NewEvent, Unit
from app.person import Person
from schemas.signaling import CallEnded, CallTick, EventType, TickStatus, WalletReason, WalletUpdate
from schemas.types import iso

CALL_END: EventType = "call_end"


def units_charged(call: Call, units: Sequence[Unit], status: TickStatus, remaining_s: int | None) -> list[NewEvent]:
    """A tick for both parties, with the balance and the seconds that are left in the user's alone; and the wallet's
    change, where there was one. Units that are charged together have one tick, with the number of the last."""
    unit, points = units[-1], sum(unit.points for unit in units)
    tick = CallTick(
        call_id=call.id,
        tick_number=unit.index,
        charged_points=points,
        total_charged_points=unit.total_points,
        duration_seconds=unit.duration_seconds,
        timestamp=iso(unit.charged_at_ms),
        status=status,
        user_balance=unit.balance_after,
        remaining_seconds=UNSET if remaining_s is None else remaining_s,
    )
    told = [
        NewEvent.of(tick, call.parties.user, call.id),
        NewEvent.of(structs.replace(tick, user_balance=UNSET, remaining_seconds=UNSET), call.parties.otomo, call.id),
    ]
    if points and unit.balance_after is not None:
        told.append(wallet_changed(call.user_id, unit.balance_after, "call_tick", unit.charged_at_ms, call.id))
    return told


def wallet_changed(
    user_id: str, balance: int, reason: WalletReason, at_ms: int, call_id: str | None = None
) -> NewEvent:
    payload = WalletUpdate(balance=balance, reason=reason, timestamp=iso(at_ms))
    return NewEvent.of(payload, Person("user", user_id), call_id)


def call_ended(call: Call) -> list[NewEvent]:
    """The events of a call's end, for both parties. Raises ValueError where it has not ended."""
    if call.ended_at_ms is None or call.end_reason is None or call.duration_seconds is None:
        raise ValueError(f"{call.id} has not ended")
    payload = CallEnded(
        call_id=call.id,
        user_id=call.user_id,
        otomo_id=call.otomo_id,
        ended_at=iso(call.ended_at_ms),
        reason=call.end_reason,
        duration_seconds=call.duration_seconds,
        total_charged_points=call.billed_points,
    )
    return NewEvent.to_each(call.parties, payload, call.id)
