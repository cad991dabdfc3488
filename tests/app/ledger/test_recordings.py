"""Recordings in the ledger: parts are counted, parties and back ends are told once, and nothing comes twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from msgspec import json

from app.ledger import Ledger
from app.ledger.recordings import CallRecording, RecordingFile
from app.ledger.values import NewEvent
from app.person import Person
from schemas.signaling import RecordingChanged
from tests.app.ledger.ledger_samples import CONNECTED, OTOMO, USER, end, talking
from tests.app.ledger.webhook_samples import add_endpoint

ASKED = CallRecording(call_id="call", state="recording", asked_by="root", reason="why", asked_at_ms=CONNECTED)
AT = "2027-01-15T08:00:05.000Z"


def files(*ids: str) -> list[RecordingFile]:
    """Both legs of a part."""
    return [
        RecordingFile(id=one, call_id="call", role=role, part=0, node="main", began_at_ms=CONNECTED)
        for one, role in zip(ids, ("user", "otomo"), strict=True)
    ]


def started() -> list[NewEvent]:
    return NewEvent.to_each((USER, OTOMO), RecordingChanged(call_id="call", at=AT), "call", "recording_started")


async def begun(ledger: Ledger, *ids: str) -> Any:
    return await ledger.recordings.begin(files(*ids), started(), CONNECTED)


@pytest.fixture
async def asked(ledger: Ledger) -> Ledger:
    await talking(ledger)
    await ledger.recordings.ask(ASKED)
    return ledger


async def told(ledger: Ledger, person: Person) -> list[str]:
    return [event.type for event in await ledger.events_since(person, 0) if event.type.startswith("recording")]


async def test_what_was_said_first_stays_where_it_is_not_said_anew(ledger):
    other = CallRecording(call_id="call", state="paused", asked_by="eve", reason="", asked_at_ms=1)
    assert await ledger.recordings.ask_first(ASKED)
    assert not await ledger.recordings.ask_first(other)
    assert await ledger.recordings.asked("call") == ASKED
    await ledger.recordings.ask(other)
    assert await ledger.recordings.asked("call") == other
    await ledger.recordings.forget("call")
    assert await ledger.recordings.asked("call") is None


async def test_files_that_begin_are_parts_and_both_are_told_once(asked):
    first, events = await begun(asked, "a", "b")
    assert [(one.id, one.role, one.part) for one in first] == [("a", "user", 1), ("b", "otomo", 1)]
    assert len(events) == 2
    second, events = await begun(asked, "c", "d")
    assert ([one.part for one in second], events) == ([2, 2], ())
    assert [one.id for one in await asked.recordings.of_call("call")] == ["a", "c", "b", "d"]
    assert await told(asked, USER) == await told(asked, OTOMO) == ["recording_started"]


async def test_the_same_files_again_are_the_same(asked):
    first, _ = await begun(asked, "a", "b")
    again, events = await begun(asked, "a", "b")
    assert ([one.part for one in again], events) == ([1, 1], ())
    assert list(first) == list(again)


async def test_of_many_at_once_each_has_a_part_of_its_own(asked):
    await asyncio.gather(*(begun(asked, f"{number}u", f"{number}o") for number in range(8)))
    found = await asked.recordings.of_call("call")
    assert sorted(one.part for one in found if one.role == "user") == list(range(1, 9))
    assert await told(asked, USER) == ["recording_started"]


async def test_a_file_is_finished_and_stored_once_and_back_ends_are_told(asked):
    await add_endpoint(asked, types=("recording.ready", "recording.failed"))
    await begun(asked, "a", "b")
    await asked.recordings.finish("a", 1234, 999)
    await asked.recordings.finish("a", 1, 1)
    for _ in range(2):
        assert await asked.recordings.store("a", CONNECTED + 1, CONNECTED + 2)
    file = await asked.recordings.file("a")
    assert (file.state, file.duration_ms, file.bytes, file.expires_at_ms) == ("stored", 1234, 999, CONNECTED + 2)
    page = await asked.webhooks.deliveries("we", None, limit=50, cursor=None)
    [ready] = page.items
    assert ready.type == "recording.ready"
    data = json.decode(ready.body)["data"]
    assert (data["recordingId"], data["role"], data["durationMs"], data["userId"]) == ("a", "user", 1234, "user")


async def test_a_failure_is_told_once_and_its_end_once_more(asked):
    await add_endpoint(asked, types=("recording.failed",))
    await begun(asked, "a", "b")
    for final in (False, False, True, True):
        await asked.recordings.fail("a", "disk full", CONNECTED, final=final)
    page = await asked.webhooks.deliveries("we", None, limit=50, cursor=None)
    assert [json.decode(one.body)["data"]["triedAgain"] for one in page.items] in ([True, False], [False, True])
    assert (await asked.recordings.file("a")).state == "failed"


async def test_what_was_removed_meanwhile_is_not_stored(asked):
    await begun(asked, "a", "b")
    await asked.recordings.remove("a")
    assert not await asked.recordings.store("a", CONNECTED, None)
    await asked.recordings.fail("a", "gone", CONNECTED, final=True)
    assert await asked.recordings.file("a") is None


async def test_what_is_over_and_what_nobody_ended_is_found(asked):
    await begun(asked, "a", "b")
    await asked.recordings.finish("a", 1, 1)
    await asked.recordings.store("a", CONNECTED, CONNECTED + 10)
    assert await asked.recordings.expired(CONNECTED + 9) == ()
    assert [one.id for one in await asked.recordings.expired(CONNECTED + 10)] == ["a"]
    assert await asked.recordings.abandoned(2 * CONNECTED) == ()
    await end(asked)
    assert [one.id for one in await asked.recordings.abandoned(2 * CONNECTED)] == ["b"]


async def test_a_change_is_stored_with_what_is_told_of_it(asked):
    await asked.recordings.change("call", "paused", started(), CONNECTED)
    assert (await asked.recordings.asked("call")).state == "paused"
    assert await told(asked, OTOMO) == ["recording_started"]
    await asked.recordings.go_on([], "other")
