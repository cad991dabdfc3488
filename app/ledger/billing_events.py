"""What the parties are told about money and about a call's end, as it goes over the wire. Knows no SQL."""

from __future__ import annotations

from typing import Any

from app.ledger.values import Call, NewEvent, TickStatus, Unit
from app.person import Person
from schemas.types import iso

CALL_TICK = "call_tick"
CALL_END = "call_end"
WALLET_UPDATE = "wallet_update"


def unit_charged(call: Call, unit: Unit, status: TickStatus) -> list[NewEvent]:
    """A tick for both, the balance in it for the user's eyes only; and the wallet's change, where there was one."""
    tick = {
        "callId": call.id,
        "tickNumber": unit.index,
        "chargedPoints": unit.points,
        "totalChargedPoints": unit.total_points,
        "durationSeconds": unit.duration_seconds,
        "timestamp": iso(unit.charged_at_ms),
        "status": status.value,
    }
    parties = call.parties
    told = [
        NewEvent(CALL_TICK, {**tick, "userBalance": unit.balance_after}, parties.user, call.id),
        NewEvent(CALL_TICK, tick, parties.otomo, call.id),
    ]
    if unit.points and unit.balance_after is not None:
        told.append(wallet_changed(call.user_id, unit.balance_after, CALL_TICK, unit.charged_at_ms, call.id))
    return told


def wallet_changed(user_id: str, balance: int, reason: str, at_ms: int, call_id: str | None = None) -> NewEvent:
    payload = {"balance": balance, "reason": reason, "timestamp": iso(at_ms)}
    return NewEvent(WALLET_UPDATE, payload, Person("user", user_id), call_id)


def call_ended(call: Call) -> list[NewEvent]:
    """The end, to both parties."""
    payload: dict[str, Any] = {
        "callId": call.id,
        "userId": call.user_id,
        "otomoId": call.otomo_id,
        "endedAt": None if call.ended_at_ms is None else iso(call.ended_at_ms),
        "reason": call.end_reason,
        "durationSeconds": call.duration_seconds,
        "totalChargedPoints": call.billed_points,
    }
    return [NewEvent(CALL_END, payload, party, call.id) for party in call.parties]
