"""What a start does with the open calls of an earlier process: those that were proven alive a moment ago go on here;
the others are ended, at the last moment at which both parties were proven to be there.

The proofs are what :func:`prove_alive` stored while that process lived. Nothing is charged here: units
that were billable and not charged when it died stay free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from sqlalchemy import Connection, bindparam, func, insert, or_, select, update

from app.ledger import billing_events, changes, events, nodes
from app.ledger import calls as call_rows
from app.ledger.errors import Fenced, StaleState, UnknownCall
from app.ledger.steps import Ending, Interruption, Talked
from app.ledger.tables import call_interruptions, call_segments, call_units, calls, recovery_log
from app.ledger.values import CONNECTED_STATES, Adopted, Call, Recovered, Recovery
from schemas.call import CallState

REASON = "system_error"
CAUSE = "restart"
AT_ONCE = 20  # calls in one transaction: nodes share what a dead one leaves

Alive = Mapping[tuple[str, int], Talked]
"""By (call id, epoch)."""


def prove_alive(tx: Connection, node: str, alive: Alive) -> None:
    """Store proofs of life. One that is older than the stored one changes nothing, and neither does another node's.

    Which is older is told by what had been talked, not by the wall clock, which may be set back.
    """
    proven = bindparam("proven", type_=calls.c.proven_at_ms.type)
    own = (calls.c.id == bindparam("row_id")) & (calls.c.node == node) & (calls.c.epoch == bindparam("in_epoch"))
    talked = bindparam("talked", type_=calls.c.talked_ms.type)
    older = calls.c.talked_ms <= talked
    connected = or_(*(calls.c.state == state for state in CONNECTED_STATES))  # a statement for many rows can't have IN
    statement = update(calls).where(own, connected, older).values(proven_at_ms=proven, talked_ms=talked)
    rows = [
        {"row_id": call_id, "in_epoch": epoch, "proven": one.proven_at_ms, "talked": one.talked_ms}
        for (call_id, epoch), one in sorted(alive.items())
    ]
    if rows:
        tx.execute(statement, rows)


def recover(tx: Connection, node: str, now_ms: int, window_ms: int, limit: int) -> Recovery:
    """Take over at most so many open calls that are no live node's: see ``Ledger.recover``."""
    found = call_rows.lock_orphans(tx, node, limit)
    if not found:
        return Recovery()
    heard_of = nodes.heard_of(tx, window_ms)
    alive = [call for call in found if call.node in heard_of or goes_on(call, now_ms - window_ms)]
    over = [call for call in found if call not in alive]
    last_units = _last_units(tx, over)
    batch = changes.ChangeBatch({}, changes.totals(tx, over))
    adopted = _adopt(tx, batch, alive, node, now_ms)
    ends = [end_of(call, last_units.get(call.id), now_ms) for call in over]
    mine = (replace(call, node=node) for call in over)  # the one before may wake, and still have something to say
    ended = [batch.end(call, end) for call, end in zip(mine, ends, strict=True)]
    batch.write(tx)
    log = [
        Recovered(
            call_id=call.id,
            node=before.node,
            recovered_at_ms=now_ms,
            state=before.state,
            ended_at_ms=end.ended_at_ms,
            duration_seconds=call.duration_seconds or 0,
            billed_units=call.billed_units,
            billed_points=call.billed_points,
        )
        for before, end, call in zip(over, ends, ended, strict=True)
    ]
    if log:
        tx.execute(insert(recovery_log), [asdict(line) for line in log])
    told = [draft for call in ended for draft in events.drafts(billing_events.call_ended(call), now_ms)]
    return Recovery(tuple(log), adopted, events.append(tx, told, known=batch.calls))


def take_call(tx: Connection, node: str, call_id: str, owner: str, epoch: int, talked: Talked) -> Adopted:
    """Take over a call from a node that gives it away: see ``Ledger.take_call``."""
    call = call_rows.lock(tx, [call_id]).get(call_id)
    if call is None:
        raise UnknownCall(call_id)
    if (call.node, call.epoch) != (owner, epoch):
        raise Fenced(call_id)
    if call.state not in CONNECTED_STATES:
        raise StaleState(call_id, call.state)
    before = _open_interruptions(tx, [call]).get(call_id)
    why = before or Interruption("moved", None, talked.proven_at_ms)
    batch = changes.ChangeBatch({}, {})
    mine = batch.take(replace(call, talked_ms=max(call.talked_ms, talked.talked_ms)), node)
    taken = batch.interrupt(mine, None if before else why, "moved")
    batch.write(tx)
    return Adopted(taken, why.since_ms, "moved", before is None, _last_deaths(tx, [call]).get(call_id))


def goes_on(call: Call, since_ms: int) -> bool:
    """Whether both parties were proven to talk at that moment or later."""
    return call.state in CONNECTED_STATES and call.proven_at_ms is not None and call.proven_at_ms >= since_ms


def end_of(call: Call, last_unit: tuple[int, int] | None, now_ms: int) -> Ending:
    """How a call that was found open ends; ``last_unit`` is its last unit's (charged_at_ms, duration_seconds)."""
    ended_at_ms, talked_ms = now_ms, 0
    if call.connected_at_ms is not None:
        charged_at_ms, billed_seconds = last_unit or (call.connected_at_ms, 0)
        ended_at_ms = max(call.connected_at_ms, call.proven_at_ms or 0, charged_at_ms)
        talked_ms = max(call.talked_ms, 1000 * billed_seconds)
    return Ending(
        call_id=call.id, epoch=call.epoch, reason=REASON, cause=CAUSE, ended_at_ms=ended_at_ms, talked_ms=talked_ms
    )


def _adopt(
    tx: Connection, batch: changes.ChangeBatch, alive: Sequence[Call], node: str, now_ms: int
) -> tuple[Adopted, ...]:
    open_ = _open_interruptions(tx, alive)
    died = _last_deaths(tx, alive)
    adopted = []
    for call in alive:
        if call.state not in CONNECTED_STATES:
            adopted.append(Adopted(batch.take(call, node), now_ms, "node_lost", False))
            continue
        lost = Interruption("node_lost", None, call.proven_at_ms or now_ms)
        before = open_.get(call.id)
        taken = batch.interrupt(batch.take(call, node), None if before else lost, CAUSE)
        one = before or lost
        adopted.append(Adopted(taken, one.since_ms, one.reason, before is None, died.get(call.id)))
    return tuple(adopted)


def _open_interruptions(tx: Connection, found: Sequence[Call]) -> dict[str, Interruption]:
    row, ids = call_interruptions.c, [call.id for call in found]
    query = select(row.call_id, row.reason, row.role, row.since_ms).where(row.call_id.in_(ids), row.until_ms.is_(None))
    return {call_id: Interruption(*rest) for call_id, *rest in tx.execute(query)}


def _last_deaths(tx: Connection, found: Sequence[Call]) -> dict[str, int]:
    row = call_segments.c
    died = (row.call_id.in_([call.id for call in found]), row.reason == "worker_died")
    query = select(row.call_id, func.max(row.began_at_ms).label("died_at_ms")).where(*died).group_by(row.call_id)
    return {row.call_id: row.died_at_ms for row in tx.execute(query)}


def _last_units(tx: Connection, found: Sequence[Call]) -> dict[str, tuple[int, int]]:
    last = select(call_units.c.call_id, func.max(call_units.c.charged_at_ms), func.max(call_units.c.duration_seconds))
    query = last.where(call_units.c.call_id.in_([call.id for call in found])).group_by(call_units.c.call_id)
    return {call_id: (charged_at_ms, seconds) for call_id, charged_at_ms, seconds in tx.execute(query)}


def log_lines(tx: Connection, limit: int) -> tuple[Recovered, ...]:
    columns = [column for column in recovery_log.c if column.name != "id"]
    rows = tx.execute(select(*columns).order_by(recovery_log.c.id.desc()).limit(limit))
    return tuple(Recovered(**{**row, "state": CallState(row["state"])}) for row in rows.mappings())
