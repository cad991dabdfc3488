"""Calls and wallets for the ledger's tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from app.ledger import Ledger
from app.ledger.values import Adjusted, Call, Charged, ChargeResult, NewCall, UnitDue
from app.person import Person
from schemas.call import CallState

USER, OTOMO = Person("user", "user"), Person("otomo", "otomo")
START = 1_800_000_000_000  # when the samples are made
CONNECTED = START + 5_000
MATCHED_ELSEWHERE: dict[str, Any] = {"states": (CallState.MATCHED,), "cause": "admin", "exclusive": False}


def new_call(call_id: str = "call", user_id: str = "user", otomo_id: str = "otomo", **changed: Any) -> NewCall:
    return replace(NewCall(call_id, user_id, otomo_id, 100, START), **changed)


def matched_call(call_id: str = "call", user_id: str = "user", otomo_id: str = "otomo", **changed: Any) -> NewCall:
    return new_call(call_id, user_id, otomo_id, **{**MATCHED_ELSEWHERE, **changed})


async def talking(ledger: Ledger, call_id: str = "call", user_id: str = "user", price: int = 100) -> Call:
    await ledger.open_call(matched_call(call_id, user_id, price_per_minute=price))
    return (await ledger.move(call_id, CallState.TALKING, cause="rtp", at_ms=CONNECTED)).call


async def credit(ledger: Ledger, amount: int, user_id: str = "user", key: str = "first") -> Adjusted:
    return await ledger.adjust(user_id, amount, reason="gift", idempotency_key=f"{user_id} {key}", at_ms=START)


async def end(ledger: Ledger, call_id: str = "call", seconds: int = 0) -> Call:
    ended = await ledger.end_call(
        call_id, reason="manual", ended_at_ms=CONNECTED + seconds * 1000, duration_seconds=seconds
    )
    return ended.call


def unit(index: int, call_id: str = "call") -> UnitDue:
    return UnitDue(call_id, index, CONNECTED + index * 60_000, index * 60)


def charged(result: ChargeResult) -> Charged:
    assert isinstance(result, Charged), result
    return result


async def balance(ledger: Ledger, user_id: str = "user") -> int | None:
    wallet = await ledger.balance(user_id)
    return wallet.balance if wallet else None
