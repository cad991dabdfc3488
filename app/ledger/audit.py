"""Does the ledger add up? Reads everything, and names what does not; an empty answer means that all is well."""

from __future__ import annotations

from sqlalchemy import JSON, Connection, case, func, or_, select, type_coerce

from app.ledger.tables import (
    LIVE,
    call_interruptions,
    call_records,
    call_segments,
    call_units,
    calls,
    live_parties,
    lots,
    point_transactions,
    refunds,
    wallets,
)
from schemas.base import camel_case


def audit(tx: Connection) -> tuple[str, ...]:
    """One sentence per discrepancy."""
    parts = (_wallets, _statements, _calls, _debits, _busy, _rooms, _clocks, _interruptions, _unlived, _refunds, _lots)
    return tuple(sentence for part in parts for sentence in part(tx))


def _wallets(tx: Connection) -> list[str]:
    """A balance is the sum of its transactions, and never negative."""
    booked = func.coalesce(func.sum(point_transactions.c.amount), 0)
    query = (
        select(wallets.c.user_id, wallets.c.balance, booked)
        .outerjoin_from(wallets, point_transactions)
        .group_by(wallets.c.user_id, wallets.c.balance)
        .having((wallets.c.balance != booked) | (wallets.c.balance < 0))
    )
    return [f"wallet {user}: balance {balance}, booked {sum_}" for user, balance, sum_ in tx.execute(query)]


def _statements(tx: Connection) -> list[str]:
    """Each transaction starts from the balance that the one before it left."""
    table = point_transactions.c
    before = func.coalesce(func.lag(table.balance_after).over(partition_by=table.user_id, order_by=table.id), 0)
    lines = select(table.id, table.user_id, (before + table.amount).label("due"), table.balance_after).subquery()
    wrong = tx.execute(select(lines).where(lines.c.due != lines.c.balance_after))
    return [f"transaction {row} of {user}: leaves {after}, not {due}" for row, user, due, after in wrong]


def _calls(tx: Connection) -> list[str]:
    """A call's units are numbered 1, 2, 3 ..., and its totals are their count and sum."""
    stored, spent = func.count(call_units.c.unit_index), func.coalesce(func.sum(call_units.c.points), 0)
    last = func.coalesce(func.max(call_units.c.unit_index), 0)
    query = (
        select(calls.c.id, calls.c.billed_units, calls.c.billed_points, stored, last, spent)
        .outerjoin_from(calls, call_units)
        .group_by(calls.c.id, calls.c.billed_units, calls.c.billed_points)
        .having((calls.c.billed_units != stored) | (stored != last) | (calls.c.billed_points != spent))
    )
    return [
        f"call {call}: says {units} units for {points} points, has {found} up to {last_index} for {sum_}"
        for call, units, points, found, last_index, sum_ in tx.execute(query)
    ]


def _debits(tx: Connection) -> list[str]:
    """A unit that cost something has its debit, a debit of a call has its unit, and both agree."""
    unit, debit = call_units.c, point_transactions.c
    same = (unit.call_id == debit.call_id) & (unit.unit_index == debit.unit_index)
    units = select(unit.call_id, unit.unit_index, unit.points, func.coalesce(debit.amount, 0).label("amount"))
    unpaid = tx.execute(
        units.outerjoin_from(call_units, point_transactions, same).where(unit.points != -func.coalesce(debit.amount, 0))
    )
    unstored = tx.execute(
        select(debit.call_id, debit.unit_index)
        .outerjoin_from(point_transactions, call_units, same)
        .where(debit.call_id.is_not(None), unit.call_id.is_(None))
    )
    return [
        *(f"unit {index} of {call}: {points} points, booked {amount}" for call, index, points, amount in unpaid),
        *(f"unit {index} of {call}: booked, but not stored" for call, index in unstored),
    ]


def _refunds(tx: Connection) -> list[str]:
    """What was given back of a call is the sum of its refunds, and each is a line of its user's statement."""
    given = func.coalesce(func.sum(refunds.c.points), 0)
    query = select(calls.c.id, calls.c.refunded_points, given).outerjoin_from(calls, refunds).group_by(calls.c.id)
    wrong = tx.execute(query.having(calls.c.refunded_points != given))
    line = point_transactions.c
    columns = (refunds.c.call_id, refunds.c.points, line.user_id, line.amount)
    booked = select(*columns).join_from(refunds, point_transactions).join(calls, calls.c.id == refunds.c.call_id)
    other = tx.execute(booked.where((line.amount != refunds.c.points) | (line.user_id != calls.c.user_id)))
    return [
        *(f"call {call}: says {says} points were given back, {sum_} were" for call, says, sum_ in wrong),
        *(f"call {call}: {points} points given back, {user} got {got}" for call, points, user, got in other),
    ]


def _lots(tx: Connection) -> list[str]:
    """A wallet holds at least what is in its lots, and of bonus points what its statement says. A unit says the same of
    them as its debit."""
    held, booked = func.sum(lots.c.remaining), func.coalesce(func.sum(point_transactions.c.bonus_amount), 0)
    of_user = select(lots.c.user_id, held.label("held")).group_by(lots.c.user_id).subquery()
    bonus = select(lots.c.user_id, held.label("held")).where(lots.c.kind == "bonus").group_by(lots.c.user_id).subquery()
    query = select(wallets.c.user_id, of_user.c.held, wallets.c.balance)
    over = tx.execute(query.join_from(wallets, of_user).where(of_user.c.held > wallets.c.balance))
    stated = (
        select(point_transactions.c.user_id, booked.label("booked")).group_by(point_transactions.c.user_id).subquery()
    )
    found = func.coalesce(bonus.c.held, 0)
    query = select(stated.c.user_id, found, stated.c.booked)
    wrong = tx.execute(
        query.outerjoin_from(stated, bonus, bonus.c.user_id == stated.c.user_id).where(found != stated.c.booked)
    )
    unit, debit = call_units.c, point_transactions.c
    same = (unit.call_id == debit.call_id) & (unit.unit_index == debit.unit_index)
    units = select(unit.call_id, unit.unit_index, unit.bonus_points, debit.bonus_amount)
    other = tx.execute(
        units.join_from(call_units, point_transactions, same).where(unit.bonus_points != -debit.bonus_amount)
    )
    return [
        *(f"wallet {user}: {points} points in lots, balance {balance}" for user, points, balance in over),
        *(f"wallet {user}: {points} bonus points in lots, booked {sum_}" for user, points, sum_ in wrong),
        *(f"unit {index} of {call}: {points} bonus points, booked {got}" for call, index, points, got in other),
    ]


def _busy(tx: Connection) -> list[str]:
    """Who is busy are the parties of the live exclusive calls."""
    live = tx.execute(select(calls.c.id, calls.c.user_id, calls.c.otomo_id).where(LIVE, calls.c.exclusive)).all()
    due = {(call, role, person) for call, *both in live for role, person in zip(("user", "otomo"), both, strict=True)}
    found = {(call, role, person) for role, person, call in tx.execute(select(live_parties))}
    return [
        *(f"call {call}: {role} {person} is not busy in it" for call, role, person in sorted(due - found)),
        *(
            f"call {call}: {role} {person} is busy in it, and should not be"
            for call, role, person in sorted(found - due)
        ),
    ]


def _rooms(tx: Connection) -> list[str]:
    """A call's rooms are numbered without a gap up to the one that it is in: from 1, or from 2 where an older release
    opened the first one."""
    epoch = call_segments.c.epoch
    count, first, last = func.count(epoch), func.min(epoch), func.max(epoch)
    query = (
        select(calls.c.id, calls.c.epoch, count, last)
        .outerjoin_from(calls, call_segments)
        .group_by(calls.c.id, calls.c.epoch)
        .having(or_(last != calls.c.epoch, last - first + 1 != count, first > 2, (count == 0) & (calls.c.epoch > 1)))
    )
    rows = tx.execute(query)
    return [f"call {call}: is in room {now}, has had {found} up to {top}" for call, now, found, top in rows]


def _clocks(tx: Connection) -> list[str]:
    """What a call's parties have talked never becomes less."""
    row = call_segments.c
    next_room = func.lead(row.talked_before_ms).over(partition_by=row.call_id, order_by=row.epoch)
    after = func.coalesce(next_room, calls.c.talked_ms).label("after")
    columns = (row.call_id, row.epoch, row.talked_before_ms.label("before"), after)
    rooms = select(*columns).join_from(call_segments, calls).subquery()
    wrong = tx.execute(select(rooms).where(rooms.c.after < rooms.c.before))
    return [f"call {call}: talked {ms} ms before room {epoch}, {end} after it" for call, epoch, ms, end in wrong]


def _interruptions(tx: Connection) -> list[str]:
    """A call has an open interruption while it is interrupted, and never two."""
    one = (call_interruptions.c.call_id == calls.c.id) & call_interruptions.c.until_ms.is_(None)
    found = func.count(call_interruptions.c.id)
    due = case((calls.c.state == "interrupted", 1), else_=0)
    query = select(calls.c.id, calls.c.state, found).outerjoin_from(calls, call_interruptions, one)
    rows = tx.execute(query.group_by(calls.c.id, calls.c.state).having(found != due))
    return [f"call {call}: is {state}, and has {count} open interruptions" for call, state, count in rows]


def _unlived(tx: Connection) -> list[str]:
    """No unit was charged for time that was not talked. (Of a live call of an older release, a unit's length is not
    known.)"""
    tariff = type_coerce(calls.c.tariff, JSON)
    unit_seconds = func.coalesce(tariff[camel_case("unit_seconds")].as_float(), call_records.c.unit_seconds)
    last = case(
        (calls.c.billed_units <= tariff[camel_case("minimum_units")].as_integer(), 1), else_=calls.c.billed_units
    )
    over = case((tariff["charge"].as_string() == "started", last - 1), else_=last)
    due_ms = 1000 * (func.coalesce(tariff[camel_case("free_seconds")].as_integer(), 0) + over * unit_seconds)
    query = select(calls.c.id, calls.c.billed_units, unit_seconds, calls.c.talked_ms)
    rows = tx.execute(
        query.outerjoin_from(calls, call_records).where(calls.c.billed_units > 0, due_ms >= calls.c.talked_ms + 1)
    )
    return [f"call {call}: {units} units of {unit:g} s in {talked} ms" for call, units, unit, talked in rows]
