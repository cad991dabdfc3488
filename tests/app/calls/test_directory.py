"""What a node knows of people, from the events alone: applied twice, or over what was read at the start, they say the
same."""

from __future__ import annotations

from itertools import count

import msgspec
import pytest

from app.access.standing import Standing
from app.calls.directory import Directory
from app.ledger.people import BLOCK_CHANGED, NODES, PERSON_CHANGED, Known
from app.ledger.values import Event, NewEvent
from app.person import Person
from schemas.base import encode
from schemas.people import BlockChanged, ListedOtomo, OtomoList, OtomoStatusWord, PersonChanged
from schemas.signaling import OtomoStatus
from schemas.types import iso

ANN, BOB, HANA = Person("user", "ann"), Person("user", "bob"), Person("otomo", "hana")
SEQ = count(1)


def stored(new: NewEvent) -> Event:
    return Event(next(SEQ), *new, 0)


def told(otomo_id: str, status: OtomoStatusWord) -> Event:
    return stored(NewEvent.of(OtomoStatus(otomo_id=otomo_id, status=status, timestamp=iso(0))))


def decided(
    person: Person, *, banned: bool = False, away: bool = False, revoked_at_ms: int | None = None
) -> PersonChanged:
    return PersonChanged(
        role=person.role,
        user_id=person.id,
        banned=banned,
        until_ms=None,
        ban_reason="spam" if banned else None,
        revoked_at_ms=revoked_at_ms,
        away=away,
    )


def changed(change: PersonChanged) -> Event:
    return stored(NewEvent(PERSON_CHANGED, encode(change), NODES))


def block(blocked: bool) -> Event:
    change = BlockChanged(role="otomo", user_id="hana", other_role="user", other_id="ann", blocked=blocked)
    return stored(NewEvent(BLOCK_CHANGED, encode(change), NODES))


@pytest.fixture
def directory() -> Directory:
    return Directory(Standing())


def listed(directory: Directory, person: Person) -> dict[str, str]:
    found = msgspec.json.decode(directory.list_for(person), type=OtomoList)
    assert list(found.otomos) == list(directory.otomos(person))
    return {one.otomo_id: one.status for one in found.otomos}


def test_the_list_is_what_was_told_last(directory: Directory) -> None:
    for otomo_id, status in (("ume", "online"), ("hana", "busy"), ("yuki", "away")):
        assert directory.observe(told(otomo_id, status)) == ()
    assert list(listed(directory, ANN).items()) == [("hana", "busy"), ("ume", "online"), ("yuki", "away")]
    directory.observe(told("hana", "online"))
    directory.observe(told("ume", "offline"))
    directory.observe(told("ume", "offline"))
    assert listed(directory, ANN) == {"hana": "online", "yuki": "away"}
    assert list(directory.otomos(ANN, "hana")) == [ListedOtomo("yuki", "away")]


def test_a_block_hides_one_otomo_from_one_user(directory: Directory) -> None:
    directory.observe(told("hana", "online"))
    for _ in range(2):
        directory.observe(block(True))
    news = told("hana", "busy")
    assert set(directory.observe(news)) == {ANN}
    assert listed(directory, ANN) == {}
    assert listed(directory, BOB) == {"hana": "busy"}
    assert (directory.may_have(ANN, news), directory.may_have(BOB, news)) == (False, True)
    assert directory.is_blocked(ANN, HANA)
    assert directory.is_blocked(HANA, ANN)
    assert not directory.is_blocked(HANA, BOB)
    for _ in range(2):
        directory.observe(block(False))
    assert listed(directory, ANN) == {"hana": "busy"}
    assert set(directory.observe(told("hana", "online"))) == set()
    assert not directory.is_blocked(ANN, HANA)


def test_what_is_decided_of_a_person_is_known_at_once_and_told_on(directory: Directory) -> None:
    heard: list[Person] = []
    directory.on_person(lambda person, _: heard.append(person))
    directory.observe(changed(decided(HANA, away=True, banned=True)))
    assert directory.is_away("hana")
    assert directory.standing.is_banned(HANA)
    directory.observe(changed(decided(Person("user", "hana"), revoked_at_ms=1000)))
    assert directory.is_away("hana")
    directory.observe(changed(decided(HANA)))
    assert not directory.is_away("hana")
    assert not directory.standing.is_banned(HANA)
    assert heard == [HANA, Person("user", "hana"), HANA]


def test_events_of_before_the_start_change_nothing_that_was_read(directory: Directory) -> None:
    ban, away = decided(ANN, banned=True), decided(HANA, away=True)
    directory.load(Known((ban, away), ((HANA, ANN),), (("hana", "away"),)))
    for event in (changed(ban), block(True), told("hana", "away"), changed(away)):
        directory.observe(event)
    assert directory.standing.is_banned(ANN)
    assert (listed(directory, ANN), listed(directory, BOB)) == ({}, {"hana": "away"})
