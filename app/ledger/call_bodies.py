"""A stored call as back ends and parties read it: by REST, and in the webhook of its end. Knows no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.ledger.values import Call, Interrupted, Record, Transition, Unit
from app.settings import MAX_CALL_S
from schemas.call import InterruptionLine, TimelineEntry
from schemas.types import iso, iso_or_none


@dataclass(frozen=True, slots=True)
class Details:
    """All that is stored of a call; what is a list is in its order."""

    call: Call
    timeline: tuple[Transition, ...] = ()
    units: tuple[Unit, ...] = ()
    interruptions: tuple[Interrupted, ...] = ()
    record: Record | None = None


def detail_fields_of(details: Details, now_ms: int) -> dict[str, Any]:
    """The fields of a ``CallDetail``. An interruption that lasts counts until ``now_ms``."""
    call, record = details.call, details.record
    happened = [(step.at_ms, 0, state_entry(step)) for step in details.timeline]
    happened += [(unit.charged_at_ms, unit.index, unit_entry(unit)) for unit in details.units]
    lasted_ms = sum(max(0, (one.until_ms or now_ms) - one.since_ms) for one in details.interruptions)
    return {
        **body_fields(call),
        "media_epoch": call.epoch,
        "tariff": call.charged_by(record.unit_seconds if record else 60.0),
        "max_seconds": call.longest_s(MAX_CALL_S),
        "timeline": tuple(entry for _, _, entry in sorted(happened, key=lambda one: one[:2])),
        "interruptions": tuple(interruption_line(call, one) for one in details.interruptions),
        "interrupted_seconds": lasted_ms // 1000,
        **(record_fields(call, record) if record else {}),
    }


def interruption_line(call: Call, one: Interrupted) -> InterruptionLine:
    return InterruptionLine(
        reason=one.reason,
        user_id=None if one.role is None else call.parties.person(one.role).id,
        role=one.role,
        since=iso(one.since_ms),
        until=iso_or_none(one.until_ms),
    )


def state_entry(step: Transition) -> TimelineEntry:
    return TimelineEntry(at=iso(step.at_ms), type=step.state, cause=step.cause)


def unit_entry(unit: Unit) -> TimelineEntry:
    return TimelineEntry(at=iso(unit.charged_at_ms), type="unit", index=unit.index, points=unit.points)


def body_fields(call: Call) -> dict[str, Any]:
    """The fields of a ``CallBody``."""
    return {
        "call_id": call.id,
        "user_id": call.user_id,
        "otomo_id": call.otomo_id,
        "state": call.state,
        "price_per_minute": call.price_per_minute,
        "created_at": iso(call.created_at_ms),
        "accepted_at": iso_or_none(call.accepted_at_ms),
        "connected_at": iso_or_none(call.connected_at_ms),
        "ended_at": iso_or_none(call.ended_at_ms),
        "end_reason": call.end_reason,
        "duration_seconds": call.duration_seconds,
        "billed_units": call.billed_units,
        "billed_points": call.billed_points,
        "metadata": call.metadata,
        "refunded_points": call.refunded_points,
    }


def record_fields(call: Call, record: Record) -> dict[str, Any]:
    return {
        "ended_by": record.ended_by,
        "billed_seconds": round(call.billed_units * record.unit_seconds),
        "worker": record.worker,
        "mos": record.mos,
        "quality": record.quality,
        "flags": record.flags,
        "transports": record.transports,
    }
