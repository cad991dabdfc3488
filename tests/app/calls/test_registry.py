"""Who owns which call, and who is busy."""

from __future__ import annotations

import pytest

from app.calls.call import LiveCall
from app.calls.registry import Registry
from app.clock import now
from app.errors import CallNotFound, RoomNotFound
from app.person import Person
from app.tariffs import Terms
from schemas.call import CallState

USER, OTOMO, ANOTHER = Person("user", "user"), Person("otomo", "otomo"), Person("user", "another")


def call(call_id: str, user_id: str = "user", otomo_id: str = "otomo") -> LiveCall:
    return LiveCall(call_id, user_id, otomo_id, Terms.by_unit(100), now())


def test_a_call_is_found_until_it_is_removed():
    registry, one = Registry(), call("one")
    registry.add(one)
    assert registry.call("one") is registry.find("one") is one
    assert "one" in registry
    assert (len(registry), list(registry)) == (1, [one])
    registry.remove(one)
    assert registry.find("one") is None
    assert "one" not in registry
    assert len(registry) == 0
    with pytest.raises(CallNotFound):
        registry.call("one")


def test_a_call_without_an_open_room_has_none():
    registry, one = Registry(), call("one")
    registry.add(one)
    for call_id in ("one", "none"):
        with pytest.raises(RoomNotFound):
            registry.room(call_id)
    assert registry.room_with("nothing") is None


def test_parties_are_busy_from_their_first_call_to_the_end_of_their_last():
    registry, told = Registry(), []
    registry.on_busy(lambda person, busy: told.append((person, busy)))
    first, second = call("first"), call("second", user_id="another")
    registry.add(first)
    registry.add(second)
    assert told == [(USER, True), (OTOMO, True), (ANOTHER, True)]
    assert registry.calls_of(OTOMO) in ([first, second], [second, first])
    told.clear()
    registry.remove(first)
    assert told == [(USER, False)]
    assert registry.busy(OTOMO)
    assert not registry.busy(USER)
    registry.remove(second)
    assert told == [(USER, False), (ANOTHER, False), (OTOMO, False)]
    assert registry.calls_of(OTOMO) == []


def test_a_user_and_an_otomo_with_one_id_are_two_people():
    registry = Registry()
    registry.add(call("one", user_id="17", otomo_id="42"))
    assert registry.busy(Person("user", "17"))
    assert not registry.busy(Person("otomo", "17"))
    assert registry.calls_of(Person("user", "42")) == []


def test_removing_twice_tells_once():
    registry, told = Registry(), []
    one = call("one")
    registry.add(one)
    registry.on_busy(lambda person, busy: told.append((person, busy)))
    registry.remove(one)
    registry.remove(one)
    assert told == [(USER, False), (OTOMO, False)]


def test_only_calls_that_talk_are_listed_as_talking():
    registry = Registry()
    for state in CallState:
        one = call(state.value)
        one.state = state
        registry.add(one)
    assert [one.id for one in registry.talking()] == ["talking"]


def test_the_registry_may_change_while_it_is_walked():
    registry = Registry()
    for number in range(3):
        registry.add(call(f"call-{number}"))
    for one in registry:
        registry.remove(one)
    assert len(registry) == 0
