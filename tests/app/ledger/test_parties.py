"""The busy rule: a person is in at most one live exclusive call, whoever asks and however many at once."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import Connection, delete, select, text

from app.ledger import Ledger, upgrade
from app.ledger.backend import open_database
from app.ledger.errors import PartyBusy
from app.ledger.tables import live_parties
from app.ledger.upgrade import run_migrations
from app.ledger.values import Call, Changed
from tests.app.ledger.ledger_samples import START, end, matched_call, new_call, open_call

OPENINGS = 200
PEOPLE = 20  # of each role
SEED = 20
PATIENCE_S = 60.0  # of two who write to one file as fast as they can


async def busy(ledger: Ledger) -> dict[tuple[str, str], str]:
    """In which call each busy person is."""
    return await ledger._database.read(
        lambda tx: {(role, person): call_id for role, person, call_id in tx.execute(select(live_parties))}
    )


def persons(call: Call) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("user", call.user_id), ("otomo", call.otomo_id)


async def test_of_many_openings_at_once_nobody_is_in_two(url: str) -> None:
    choose = random.Random(SEED)
    asked = [
        new_call(f"call-{i}", f"{choose.randrange(PEOPLE)}", f"{choose.randrange(PEOPLE)}") for i in range(OPENINGS)
    ]
    async with (
        Ledger.open(url, timeout_s=PATIENCE_S) as ledger,
        Ledger.open(url, timeout_s=PATIENCE_S) as other,
    ):
        tries = (open_call((ledger, other)[i % 2], call) for i, call in enumerate(asked))
        results = await asyncio.gather(*tries, return_exceptions=True)
        opened = [result.call for result in results if isinstance(result, Changed)]
        refused = [result for result in results if isinstance(result, PartyBusy)]
        assert len(opened) + len(refused) == OPENINGS
        people = {(role, person): call.id for call in opened for role, person in persons(call)}
        assert len(people) == 2 * len(opened), "somebody is in two"
        assert await busy(ledger) == people
        assert await ledger.audit() == ()
        owners = {one.node: one for one in (ledger, other)}
        await asyncio.gather(*(end(owners[call.node], call.id) for call in opened))
        assert await busy(ledger) == {}


async def test_a_user_and_an_otomo_of_one_id_are_two_people(ledger: Ledger) -> None:
    await open_call(ledger, new_call("as a user", "17", "otomo"))
    await open_call(ledger, new_call("as an otomo", "user", "17"))
    assert await busy(ledger) == {
        ("user", "17"): "as a user",
        ("otomo", "otomo"): "as a user",
        ("user", "user"): "as an otomo",
        ("otomo", "17"): "as an otomo",
    }
    with pytest.raises(PartyBusy) as refused:
        await open_call(ledger, new_call("again", "another", "17"))
    assert (refused.value.party, refused.value.user_id, refused.value.call_id) == ("otomo", "17", "as an otomo")


async def test_both_are_free_after_a_crash_and_after_an_end(ledger: Ledger, elsewhere: Ledger) -> None:
    await open_call(elsewhere, new_call("left open"))
    await ledger.recover(now_ms=START)
    await open_call(ledger, new_call("ended"))
    await end(ledger, "ended")
    await open_call(ledger, new_call("next"))
    assert set((await busy(ledger)).values()) == {"next"}


async def test_a_refused_opening_keeps_nobody_busy(ledger: Ledger) -> None:
    await open_call(ledger, new_call("first", "anna", "mia"))
    with pytest.raises(PartyBusy):
        await open_call(ledger, new_call("second", "ben", "mia"))
    await open_call(ledger, new_call("third", "ben", "lea"))
    assert await ledger.call("second") is None


async def test_the_audit_sees_people_who_are_busy_without_a_call_or_free_in_one(ledger: Ledger) -> None:
    await open_call(ledger, new_call("call", "anna", "mia"))
    await open_call(ledger, matched_call("matched", "ben", "lea"))
    rows = [{"role": "user", "user_id": "ben", "call_id": "matched"}]
    await ledger._database.write(lambda tx: tx.execute(live_parties.insert(), rows))
    await ledger._database.write(lambda tx: tx.execute(delete(live_parties).where(live_parties.c.user_id == "mia")))
    assert await ledger.audit() == (
        "call call: otomo mia is not busy in it",
        "call matched: user ben is busy in it, and should not be",
    )


async def test_an_upgrade_finds_who_is_busy(url: str) -> None:
    def as_before(tx: Connection) -> None:
        run_migrations(tx, "0003")
        for call_id, exclusive, state, ended in (
            ("live", True, "talking", None),
            ("not exclusive", False, "talking", None),
            ("over", True, "ended", START),
        ):
            tx.execute(
                text(
                    'INSERT INTO calls (id, user_id, otomo_id, state, "exclusive", ended_at_ms, node, price_per_minute,'
                    " created_at_ms) VALUES (:id, :user, :otomo, :state, :exclusive, :ended, 'main', 0, 0)"
                ),
                {
                    "id": call_id,
                    "user": f"user {call_id}",
                    "otomo": f"otomo {call_id}",
                    "state": state,
                    "exclusive": exclusive,
                    "ended": ended,
                },
            )

    async with open_database(url, 5.0) as database:
        await database.write(as_before)
    await upgrade(url)
    async with Ledger.open(url) as ledger:
        assert await busy(ledger) == {("user", "user live"): "live", ("otomo", "otomo live"): "live"}
        with pytest.raises(PartyBusy):
            await open_call(ledger, new_call("next", "user", "otomo live"))
        assert await ledger.audit() == ()
