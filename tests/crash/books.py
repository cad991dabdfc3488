"""What a ledger says at one moment, and whether what it says after a crash is what it has to say."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import json

from app.ledger import Ledger
from app.ledger.values import CONNECTED_STATES, Call, Event, Recovered, Unit
from app.person import Person
from app.tariffs import due_s
from app.watch.sweeper import SWEEP_EVERY_S
from app.watch.watch import PROVE_EVERY_S
from schemas.call import CallState

MANY = 200
SQLITE = "sqlite:///"
PROOF_LAG_MS = (PROVE_EVERY_S + SWEEP_EVERY_S + 1.0) * 1000  # how old the last stored proof may be; 1 s for the machine


@dataclass(frozen=True)
class Books:
    """Everything that was stored."""

    calls: Mapping[str, Call]
    units: Mapping[str, tuple[Unit, ...]]
    balances: Mapping[str, int]
    events: tuple[Event, ...]
    recovered: Mapping[str, Recovered]
    audit: tuple[str, ...]

    def open_calls(self) -> set[str]:
        return {call.id for call in self.calls.values() if call.state is not CallState.ENDED}

    def going_on(self, window_ms: int) -> set[str]:
        """Those that the next start has to go on with, where it comes well within the window."""
        return {call.id for call in self.calls.values() if window_ms and call.state in CONNECTED_STATES}

    def unit_count(self) -> int:
        return sum(map(len, self.units.values()))

    def seqs_for(self, person: Person) -> list[int]:
        """The numbers of what one person had to be told."""
        wanted = (person, None) if person.role == "user" else (person,)
        return [event.seq for event in self.events if event.to in wanted]


async def read_books(ledger: Ledger, users: Collection[str]) -> Books:
    calls = {call.id: call async for call in all_calls(ledger)}
    wallets = {user: await ledger.balance(user) for user in users}
    return Books(
        calls=calls,
        units={call_id: (await ledger.billing(call_id)).units for call_id in calls},
        balances={user: wallet.balance for user, wallet in wallets.items() if wallet is not None},
        events=tuple([event async for event in all_events(ledger)]),
        recovered={line.call_id: line for line in await ledger.recovery_log(limit=MANY)},
        audit=await ledger.audit(),
    )


async def books_at(url: str, users: Collection[str]) -> Books:
    """The books of a ledger that may be in use."""
    async with Ledger.open(url) as ledger:
        return await read_books(ledger, users)


async def books_left_at(url: str, users: Collection[str]) -> Books:
    """The books as a dead node left them. SQLite's files are read from a copy: what a crash left in them is for the
    next start to put in order, not for us."""
    if not url.startswith(SQLITE):
        return await books_at(url, users)
    left = Path(url.removeprefix(SQLITE))
    with TemporaryDirectory() as folder:
        for file in left.parent.glob(f"{left.name}*"):
            if not file.name.endswith("-shm"):  # an index of the log that every first opener makes anew
                shutil.copy(file, folder)
        return await books_at(f"{SQLITE}{folder}/{left.name}", users)


async def all_calls(ledger: Ledger) -> Any:
    cursor = None
    while True:
        page = await ledger.calls_of(limit=MANY, cursor=cursor)
        for call in page.items:
            yield call
        cursor = page.next_cursor
        if cursor is None:
            return


async def all_events(ledger: Ledger) -> Any:
    seq = 0
    while events := await ledger.tail(seq):
        for event in events:
            yield event
        seq = events[-1].seq


def discrepancies(
    before: Books, after: Books, killed_at_ms: int, start_points: int, window_ms: int, unit_ms: int
) -> Iterator[str]:
    """One sentence for everything that a restart made of the books and should not have.

    ``window_ms`` is 0 where the restart came too late for any call to go on.
    """
    yield from (f"before the restart: {sentence}" for sentence in before.audit)
    yield from (f"after the restart: {sentence}" for sentence in after.audit)
    if before.units != after.units:
        yield f"units were {before.units}, and are {after.units}"
    if before.events != after.events[: len(before.events)]:
        yield "events have changed"
    if after.calls.keys() != before.calls.keys():
        yield f"calls were {sorted(before.calls)}, and are {sorted(after.calls)}"
    going_on = before.going_on(window_ms)
    over = before.open_calls() - going_on
    if after.recovered.keys() - before.recovered.keys() != over:
        yield f"{sorted(over)} were to be ended, {sorted(after.recovered)} were"
    for call_id, was in before.calls.items():
        call = after.calls[call_id]
        if was.state is CallState.ENDED and call != was:
            yield f"{was} had ended, and is {call}"
        elif call_id in going_on:
            yield from wrongs_of_adoption(was, call, killed_at_ms)
        elif was.state is not CallState.ENDED:
            yield from wrongs_of(was, call, after.units[call_id], killed_at_ms)
        yield from wrongs_of_units(was, call, len(after.units[call_id]), unit_ms)
    yield from wrong_ends(after)
    yield from wrong_balances(after, start_points)


def wrongs_of_units(was: Call, call: Call, units: int, unit_ms: int) -> Iterator[str]:
    """What is wrong about a call's tariff, or was charged before it was due."""
    tariff = call.charged_by(unit_ms / 1000)
    if call.tariff != was.tariff:
        yield f"{call.id} had {was.tariff}, and has {call.tariff}"
    if units and 1000 * due_s(tariff, units) > call.talked_ms:
        yield f"{call.id} has {units} units of {tariff}, and talked for {call.talked_ms} ms"


def wrongs_of_adoption(was: Call, call: Call, killed_at_ms: int) -> Iterator[str]:
    """What is wrong about a call that goes on: nothing of it changes but its node, its state and its room. A start that
    was killed as well may have given it a room before."""
    if call.state is not CallState.INTERRUPTED:
        yield f"{call.id} goes on as {call.state}"
    if call.node == was.node or not was.epoch <= call.epoch <= was.epoch + 2:
        yield f"{call.id} was in room {was.epoch} of {was.node}, and is in room {call.epoch} of {call.node}"
    same = ("connected_at_ms", "proven_at_ms", "talked_ms", "billed_units", "billed_points", "ended_at_ms")
    changed = [name for name in same if getattr(call, name) != getattr(was, name)]
    if changed:
        yield f"of {was}, {changed} are others in {call}"
    if call.talked_ms > killed_at_ms - (call.connected_at_ms or 0):
        yield f"{call.id} talked for {call.talked_ms} ms from {call.connected_at_ms} to at most {killed_at_ms}"


def wrongs_of(was: Call, call: Call, units: tuple[Unit, ...], killed_at_ms: int) -> Iterator[str]:
    """What is wrong about the end of a call that was open when its node was killed."""
    if (call.state, call.end_reason) != (CallState.ENDED, "system_error"):
        yield f"{call.id} is {call.state}, {call.end_reason}"
    if (call.billed_units, call.billed_points) != (len(units), sum(unit.points for unit in units)):
        yield f"{call.id}: {call.billed_units} units for {call.billed_points} points, but it has {units}"
    ended_at_ms = call.ended_at_ms or 0
    if call.connected_at_ms is None:
        if call.duration_seconds != 0 or units:
            yield f"{call.id} was never connected, and lasted {call.duration_seconds} s with {len(units)} units"
        return
    proven_ms = last_proof_ms(was, units)
    if ended_at_ms != proven_ms:
        yield f"{call.id} ended at {ended_at_ms}, but it was last proven at {proven_ms}"
    if not max(call.connected_at_ms, killed_at_ms - PROOF_LAG_MS) <= ended_at_ms <= killed_at_ms:
        yield f"{call.id} from {call.connected_at_ms} ended at {ended_at_ms}, its node at {killed_at_ms}"
    talked = [was.talked_ms // 1000, *(unit.duration_seconds for unit in units)]
    if call.duration_seconds != max(talked):
        yield f"{call.id} lasted {call.duration_seconds} s, having talked for {was.talked_ms} ms"


def last_proof_ms(call: Call, units: tuple[Unit, ...]) -> int:
    """The last moment at which a call is known to have talked, by what was stored of it: a unit is charged for what is
    proven, and may be younger than the last proof."""
    return max(call.connected_at_ms or 0, call.proven_at_ms or 0, *(unit.charged_at_ms for unit in units))


def wrong_ends(books: Books) -> Iterator[str]:
    """Each ended call has one ``call_end`` for each party, which says what is stored."""
    told = Counter((event.call_id, event.to) for event in books.events if event.type == "call_end")
    ended = [call for call in books.calls.values() if call.state is CallState.ENDED]
    due = Counter((call.id, party) for call in ended for party in call.parties)
    if told != due:
        yield f"ends told {told - due} too often, {due - told} too rarely"
    for event in books.events:
        if event.type == "call_end" and event.call_id is not None:
            call = books.calls[event.call_id]
            told_end = json.decode(event.payload)
            said = tuple(told_end[name] for name in ("reason", "totalChargedPoints", "durationSeconds"))
            if said != (call.end_reason, call.billed_points, call.duration_seconds):
                yield f"{call.id}: {said} was told, {call} is stored"


def wrong_balances(books: Books, start_points: int) -> Iterator[str]:
    """What a wallet has lost is what the units of its calls cost."""
    for user_id, balance in books.balances.items():
        mine = [books.units[call.id] for call in books.calls.values() if call.user_id == user_id]
        spent = sum(unit.points for units in mine for unit in units)
        if balance != start_points - spent:
            yield f"{user_id} has {balance} points, having spent {spent} of {start_points}"
