"""What parties say of their calls: once, after the end, and not for ever."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from app.ledger import Ledger
from app.ledger.errors import StaleState, UnknownCall
from app.ledger.feedback import WINDOW_MS
from app.ledger.values import Feedback
from tests.app.ledger.ledger_samples import CONNECTED, end, talking

PLEASED = Feedback("user", 5, ("sound", "声"), "また話したい\n", CONNECTED + 1)


async def test_both_parties_say_once_what_they_think(ledger: Ledger) -> None:
    await talking(ledger)
    await end(ledger)
    other = Feedback("otomo", 1, (), "", CONNECTED)
    assert await ledger.give_feedback("call", PLEASED) == PLEASED
    assert await ledger.give_feedback("call", other) == other
    assert await ledger.give_feedback("call", replace(PLEASED, score=1, at_ms=CONNECTED + 9)) == PLEASED
    assert await ledger.feedback("call") == (other, PLEASED)


async def test_of_many_at_once_one_is_kept(ledger: Ledger) -> None:
    await talking(ledger)
    await end(ledger)
    said = [replace(PLEASED, score=score) for score in (1, 2, 3, 4, 5)]
    kept = await asyncio.gather(*(ledger.give_feedback("call", one) for one in said))
    assert set(kept) == set(await ledger.feedback("call"))
    assert len(set(kept)) == 1


async def test_only_calls_that_ended_within_a_day_are_spoken_of(ledger: Ledger) -> None:
    with pytest.raises(UnknownCall):
        await ledger.give_feedback("call", PLEASED)
    await talking(ledger)
    with pytest.raises(StaleState):
        await ledger.give_feedback("call", PLEASED)
    await end(ledger)
    with pytest.raises(StaleState):
        await ledger.give_feedback("call", replace(PLEASED, at_ms=CONNECTED + WINDOW_MS + 1))
    assert await ledger.feedback("call") == ()
    last = replace(PLEASED, at_ms=CONNECTED + WINDOW_MS)
    assert await ledger.give_feedback("call", last) == last
    assert await ledger.give_feedback("call", replace(last, at_ms=CONNECTED + 2 * WINDOW_MS)) == last
