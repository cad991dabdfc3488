"""The state machine: every state against every event."""

from __future__ import annotations

from itertools import product

import pytest

from app.calls.call import TRANSITIONS, CallEvent, EndReason, LiveCall
from app.clock import Moment
from app.errors import InvalidCallState
from schemas.call import CallState

START = Moment(1000.0, 1_800_000_000_000)

LEADS_TO = {
    "requesting": {"ring": "ringing", "accept": "matched", "cancel": "ending", "fail": "ending"},
    "ringing": {"accept": "matched", "reject": "ending", "cancel": "ending", "fail": "ending"},
    "matched": {"set_up": "connecting", "rtp": "talking", "hang_up": "ending", "fail": "ending"},
    "connecting": {"rtp": "talking", "hang_up": "ending", "fail": "ending"},
    "talking": {"hang_up": "ending", "fail": "ending"},
    "ending": {"stored": "ended"},
    "ended": {},
}
"""What the contract promises; everything else is refused."""


def call_in(state: CallState) -> LiveCall:
    return LiveCall("call", "user", "otomo", 100, START, state=state)


def test_every_event_in_every_state():
    for state, event in product(CallState, CallEvent):
        call = call_in(state)
        if event in LEADS_TO[state]:
            assert call.next_state(event) == LEADS_TO[state][event], f"{state} {event}"
        else:
            with pytest.raises(InvalidCallState, match=f"call call is {state}: no {event}"):
                call.next_state(event)
        assert call.state is state, "asking where an event leads moves nothing"


def test_every_transition_goes_forward():
    for (state, _), following in TRANSITIONS.items():
        assert state.precedes(following)


def test_a_call_is_live_until_it_ends():
    assert [state for state in CallState if not call_in(state).live] == [CallState.ENDING, CallState.ENDED]


def test_the_reasons_that_clients_are_told():
    assert {reason.value for reason in EndReason} == {
        *("manual", "admin", "rejected", "cancelled", "timeout", "rtp_stopped", "disconnect", "network_failed"),
        *("low_balance", "worker_died", "system_error"),
    }


def test_each_party_has_a_life_by_its_role():
    call = call_in(CallState.TALKING)
    assert sorted(call.liveness) == ["otomo", "user"]


def test_seconds_are_whole_and_begin_with_the_first_packet():
    call = call_in(CallState.TALKING)
    assert call.seconds_at(5000.0) == 0, "it was never connected"
    call.connected_at = START
    assert [call.seconds_at(at) for at in (999.0, 1000.0, 1059.999, 1060.0)] == [0, 0, 59, 60]


def test_a_whole_minute_has_sixty_seconds_wherever_the_clock_stands():
    for number in range(1000):
        connected_at = 123_456.789 + number * 0.0137
        call = LiveCall("call", "user", "otomo", 100, START, connected_at=Moment(connected_at, 0))
        assert call.seconds_at(connected_at + 60.0) == 60


def test_the_last_proof_is_the_later_partys():
    call = call_in(CallState.TALKING)
    assert call.last_proof is None
    call.liveness["user"].last_proof = 5.0
    assert call.last_proof == 5.0
    call.liveness["otomo"].last_proof = 7.0
    assert call.last_proof == 7.0
