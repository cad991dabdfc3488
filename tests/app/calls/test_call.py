"""The state machine: every state against every event."""

from __future__ import annotations

from itertools import product

import pytest

from app.calls.call import TRANSITIONS, CallEvent, EndReason, Interruption, LiveCall
from app.clock import Moment
from app.errors import InvalidCallState
from app.tariffs import Terms
from schemas.call import CallState

START = Moment(1000.0, 1_800_000_000_000)

LEADS_TO = {
    "requesting": {"ring": "ringing", "accept": "matched", "cancel": "ending", "fail": "ending"},
    "ringing": {"accept": "matched", "reject": "ending", "cancel": "ending", "fail": "ending"},
    "matched": {"set_up": "connecting", "rtp": "talking", "hang_up": "ending", "fail": "ending"},
    "connecting": {"rtp": "talking", "hang_up": "ending", "fail": "ending"},
    "talking": {"interrupt": "interrupted", "hang_up": "ending", "fail": "ending"},
    "interrupted": {"resume": "talking", "hang_up": "ending", "fail": "ending"},
    "ending": {"stored": "ended"},
    "ended": {},
}
"""What the contract promises; everything else is refused."""


def call_in(state: CallState) -> LiveCall:
    return LiveCall("call", "user", "otomo", Terms.by_unit(100), START, state=state)


def test_every_event_in_every_state():
    for state, event in product(CallState, CallEvent):
        call = call_in(state)
        if event in LEADS_TO[state]:
            assert call.next_state(event) == LEADS_TO[state][event], f"{state} {event}"
        else:
            with pytest.raises(InvalidCallState, match=f"call call is {state}: no {event}"):
                call.next_state(event)
        assert call.state is state, "asking where an event leads moves nothing"


def test_every_transition_goes_forward_but_the_one_back_to_talking():
    back = {key for key, following in TRANSITIONS.items() if not key[0].precedes(following)}
    assert back == {(CallState.INTERRUPTED, CallEvent.RESUME)}


def test_a_call_is_live_until_it_ends():
    assert [state for state in CallState if not call_in(state).live] == [CallState.ENDING, CallState.ENDED]


def test_the_reasons_that_clients_are_told():
    assert {reason.value for reason in EndReason} == {
        *("manual", "admin", "rejected", "cancelled", "timeout", "rtp_stopped", "disconnect", "network_failed"),
        *("low_balance", "max_duration", "worker_died", "node_lost", "banned", "silence", "system_error"),
    }


def test_each_party_has_a_life_by_its_role():
    call = call_in(CallState.TALKING)
    assert sorted(call.liveness) == ["otomo", "user"]


def connected_call() -> LiveCall:
    call = call_in(CallState.TALKING)
    call.connected_at = START
    call.clock.start(START)
    return call


def test_a_proof_never_goes_back():
    party = connected_call().liveness["user"]
    for at in (1005.0, 1004.0, 1006.0, 1001.0):
        party.prove(at)
    assert party.last_proof == 1006.0


@pytest.mark.parametrize(
    ("user", "otomo", "until"),
    [
        (1005.0, 1003.0, 1003.0),  # the earlier one: only then were both there
        (1003.0, 1005.0, 1003.0),
        (1005.0, None, 1000.0),  # who never sent was there when the call was connected, and not after
        (None, None, 1000.0),
        (990.0, 1005.0, 1000.0),  # what was proven before that is no talk
    ],
)
def test_both_are_proven_until_the_earlier_partys_last_proof(user, otomo, until):
    call = connected_call()
    call.liveness["user"].last_proof, call.liveness["otomo"].last_proof = user, otomo
    proven = call.proven_until(Moment(1010.0, START.utc_ms + 10_000))
    assert (proven.monotonic, proven.utc_ms) == (until, START.utc_ms + round(1000 * (until - 1000.0)))


def test_after_an_interruption_both_are_proven_from_when_they_were_back():
    call = connected_call()
    call.clock.stop(1005.0)
    back = Moment(1020.0, START.utc_ms + 20_001)
    call.clock.start(back)
    call.liveness["user"].last_proof, call.liveness["otomo"].last_proof = 1019.0, 1020.0
    assert call.proven_until(Moment(1025.0, START.utc_ms + 25_000)) == back, "the same moment is written the same way"


def test_in_an_interruption_both_are_proven_until_it_began_whatever_comes_after():
    call = connected_call()
    call.interruption = interruption(since=1004.0, noticed=1009.0)
    call.liveness["user"].last_proof = call.liveness["otomo"].last_proof = 1015.0
    assert call.proven_until(Moment(1016.0, 0)) == call.interruption.since


def test_a_call_that_was_never_connected_has_nothing_to_prove():
    present = Moment(1010.0, 5)
    assert call_in(CallState.MATCHED).proven_until(present) == present


def interruption(since: float, noticed: float) -> Interruption:
    return Interruption("no_rtp", "otomo", Moment(since, 0), Moment(noticed, 0), Moment(noticed + 20.0, 0))


@pytest.mark.parametrize(
    ("user", "otomo", "back"),
    [
        (1011.0, 1012.0, True),
        (1011.0, 1009.0, False),  # when it was noticed, that was known
        (1009.0, 1011.0, False),
        (1011.0, None, False),
        (None, 1011.0, False),
        (1010.0, 1015.0, True),  # five seconds ago
        (1009.5, 1015.0, False),  # more, so it may be gone again
    ],
)
def test_it_goes_on_when_both_were_proven_after_it_was_noticed_and_lately(user, otomo, back):
    call = connected_call()
    call.interruption = interruption(since=1004.0, noticed=1009.0)
    call.liveness["user"].last_proof, call.liveness["otomo"].last_proof = user, otomo
    assert call.is_back(1015.0, 5.0) is back


def test_what_was_not_interrupted_does_not_come_back():
    call = connected_call()
    call.liveness["user"].last_proof = call.liveness["otomo"].last_proof = 1012.0
    assert not call.is_back(1013.0, 5.0)
