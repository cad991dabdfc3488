"""Calls and wallets for the ledger's tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from app.ledger import Ledger
from app.ledger.steps import FIRST_EPOCH, Ending, Interruption, MediaMove, Moving, Opening, Talked
from app.ledger.values import Adjusted, Call, Changed, Charged, ChargeResult, Ended, NewCall, NewEvent, UnitDue
from app.person import Person
from schemas.call import CallState, MoveReason

NODE = "main"  # whose calls the samples are
USER, OTOMO = Person("user", "user"), Person("otomo", "otomo")
START = 1_800_000_000_000  # when the samples are made
CONNECTED = START + 5_000
MATCHED_ELSEWHERE: dict[str, Any] = {"states": (CallState.MATCHED,), "cause": "admin", "exclusive": False}


def new_call(call_id: str = "call", user_id: str = "user", otomo_id: str = "otomo", **changed: Any) -> NewCall:
    return replace(NewCall(call_id, user_id, otomo_id, 100, START), **changed)


def matched_call(call_id: str = "call", user_id: str = "user", otomo_id: str = "otomo", **changed: Any) -> NewCall:
    return new_call(call_id, user_id, otomo_id, **{**MATCHED_ELSEWHERE, **changed})


async def open_call(ledger: Ledger, call: NewCall, events: Iterable[NewEvent] = ()) -> Changed:
    worker = 0 if CallState.MATCHED in call.states else None
    return await ledger.open_call(Opening(call, tuple(events), worker))


async def move(
    ledger: Ledger,
    call_id: str,
    to: CallState,
    *,
    cause: str = "test",
    at_ms: int,
    epoch: int = FIRST_EPOCH,
    events: Iterable[NewEvent] = (),
    **changed: Any,
) -> Changed:
    changed.setdefault("worker", 0 if to is CallState.MATCHED else None)
    moving = Moving(call_id=call_id, epoch=epoch, to=to, cause=cause, at_ms=at_ms, told=tuple(events), **changed)
    return await ledger.move(moving)


async def interrupt(
    ledger: Ledger, call_id: str = "call", *, at_ms: int, talked_ms: int = 0, **changed: Any
) -> Changed:
    """The call is interrupted since a moment at which both had talked for so long."""
    changed.setdefault("interruption", Interruption("no_rtp", "otomo", at_ms))
    talked = Talked(talked_ms, at_ms)
    return await move(ledger, call_id, CallState.INTERRUPTED, at_ms=at_ms, talked=talked, **changed)


async def end_call(
    ledger: Ledger,
    call_id: str,
    *,
    reason: str,
    ended_at_ms: int,
    duration_seconds: int,
    cause: str | None = None,
    epoch: int = FIRST_EPOCH,
    events: Iterable[NewEvent] = (),
    **changed: Any,
) -> Ended:
    ending = Ending(
        call_id=call_id,
        epoch=epoch,
        reason=reason,
        cause=cause or reason,
        ended_at_ms=ended_at_ms,
        talked_ms=1000 * duration_seconds,
        told=tuple(events),
        **changed,
    )
    return await ledger.end_call(ending)


async def talking(
    ledger: Ledger, call_id: str = "call", user_id: str = "user", price: int = 100, at_ms: int = CONNECTED
) -> Call:
    await open_call(ledger, matched_call(call_id, user_id, price_per_minute=price))
    return (await move(ledger, call_id, CallState.TALKING, cause="rtp", at_ms=at_ms)).call


async def credit(ledger: Ledger, amount: int, user_id: str = "user", key: str = "first") -> Adjusted:
    return await ledger.adjust(user_id, amount, reason="gift", idempotency_key=f"{user_id} {key}", at_ms=START)


async def end(ledger: Ledger, call_id: str = "call", seconds: int = 0) -> Call:
    ended_at_ms = CONNECTED + seconds * 1000
    return (await end_call(ledger, call_id, reason="manual", ended_at_ms=ended_at_ms, duration_seconds=seconds)).call


def unit(index: int, call_id: str = "call") -> UnitDue:
    return UnitDue(call_id, FIRST_EPOCH, index, CONNECTED + index * 60_000, index * 60_000)


def charged(result: ChargeResult) -> Charged:
    assert isinstance(result, Charged), result
    return result


async def balance(ledger: Ledger, user_id: str = "user") -> int | None:
    wallet = await ledger.balance(user_id)
    return wallet.balance if wallet else None


async def move_media(
    ledger: Ledger,
    call_id: str = "call",
    *,
    epoch: int = FIRST_EPOCH,
    worker: int = 1,
    reason: MoveReason = "worker_died",
    at_ms: int = CONNECTED,
    events: Iterable[NewEvent] = (),
) -> Changed:
    """The call, which is in room ``epoch``, gets the next one."""
    told = tuple(events)
    move = MediaMove(call_id=call_id, epoch=epoch, worker=worker, reason=reason, at_ms=at_ms, told=told)
    return await ledger.move_media(move)


async def prove(ledger: Ledger, call_id: str = "call", *, talked_ms: int, at_ms: int, epoch: int = FIRST_EPOCH) -> None:
    await ledger.prove_alive({(call_id, epoch): Talked(talked_ms, at_ms)})
