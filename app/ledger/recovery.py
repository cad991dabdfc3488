"""After a crash: calls that were open are ended, at the last moment at which they were proven to live.

The proofs are the RTP times that :func:`prove_alive` stored while the node lived, and the charged units themselves.
Nothing is charged here: what was billable and not charged when the node died stays free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from app.ledger import billing_events, changes, events
from app.ledger import calls as call_rows
from app.ledger.tables import call_units, calls, recovery_log
from app.ledger.values import Call, Recovered, Recovery
from schemas.call import CallState

REASON = "system_error"
CAUSE = "restart"


def prove_alive(tx: Connection, last_rtp_ms: Mapping[str, int]) -> None:
    """A proof never goes back: an older time than the stored one changes nothing."""
    proven = bindparam("proven", type_=calls.c.last_rtp_at_ms.type)
    older = or_(calls.c.last_rtp_at_ms.is_(None), calls.c.last_rtp_at_ms < proven)
    talking = calls.c.state == CallState.TALKING
    statement = update(calls).where(calls.c.id == bindparam("row_id"), talking, older).values(last_rtp_at_ms=proven)
    rows = [{"row_id": call_id, "proven": at_ms} for call_id, at_ms in sorted(last_rtp_ms.items())]
    if rows:
        tx.execute(statement, rows)


def recover(tx: Connection, node: str, now_ms: int) -> Recovery:
    found = call_rows.open_calls(tx, node, locked=True)
    if not found:
        return Recovery()
    last_units = _last_units(tx, found)
    ends = [end_of(call, last_units.get(call.id), now_ms) for call in found]
    batch = changes.ChangeBatch({}, changes.totals(tx, found))
    ended = [batch.end(call, end) for call, end in zip(found, ends, strict=True)]
    batch.write(tx)
    log = [
        Recovered(
            call_id=call.id,
            node=node,
            recovered_at_ms=now_ms,
            state=before.state,
            ended_at_ms=end.ended_at_ms,
            duration_seconds=end.duration_seconds,
            billed_units=call.billed_units,
            billed_points=call.billed_points,
        )
        for before, end, call in zip(found, ends, ended, strict=True)
    ]
    tx.execute(insert(recovery_log), [asdict(line) for line in log])
    told = [draft for call in ended for draft in events.drafts(billing_events.call_ended(call), now_ms)]
    return Recovery(tuple(log), events.append(tx, told))


def end_of(call: Call, last_unit: tuple[int, int] | None, now_ms: int) -> changes.End:
    """How a call that was found open ends; ``last_unit`` is its last unit's (charged_at_ms, duration_seconds)."""
    if call.connected_at_ms is None:
        return changes.End(REASON, CAUSE, now_ms, 0)
    charged_at_ms, billed_seconds = last_unit or (call.connected_at_ms, 0)
    ended_at_ms = max(call.connected_at_ms, call.last_rtp_at_ms or 0, charged_at_ms)
    duration = max((ended_at_ms - call.connected_at_ms) // 1000, billed_seconds)
    return changes.End(REASON, CAUSE, ended_at_ms, duration)


def _last_units(tx: Connection, found: Sequence[Call]) -> dict[str, tuple[int, int]]:
    last = select(call_units.c.call_id, func.max(call_units.c.charged_at_ms), func.max(call_units.c.duration_seconds))
    query = last.where(call_units.c.call_id.in_([call.id for call in found])).group_by(call_units.c.call_id)
    return {call_id: (charged_at_ms, seconds) for call_id, charged_at_ms, seconds in tx.execute(query)}


def log_lines(tx: Connection, limit: int) -> tuple[Recovered, ...]:
    columns = [column for column in recovery_log.c if column.name != "id"]
    rows = tx.execute(select(*columns).order_by(recovery_log.c.id.desc()).limit(limit))
    return tuple(Recovered(**{**row, "state": CallState(row["state"])}) for row in rows.mappings())
