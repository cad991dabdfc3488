"""Who is there, and why a call ends: rule by rule and limit by limit. No clock is read: times are numbers."""

from __future__ import annotations

import pytest

from app.calls.call import EndReason, Interruption, LiveCall
from app.calls.timers import CallTimers
from app.clock import Moment
from app.tariffs import Terms
from app.watch.liveness import end_reason_of, silent_for, silent_party
from schemas.call import CallState, InterruptionReason
from schemas.types import PartyRole

CONNECTED = 1000.0
NOW = 2000.0
AFTER_S = 5.0
JUST = 2**-10  # seconds: more than nothing, and exact


def moment(at: float) -> Moment:
    return Moment(at, round(1000 * at))


def call_with(user: float | None = 0.0, otomo: float | None = 0.0, connected_at: float = CONNECTED) -> LiveCall:
    """A connected call whose parties were last heard so many seconds ago; None: never."""
    call = LiveCall("call", "user", "otomo", Terms.by_unit(100), moment(connected_at), state=CallState.TALKING)
    call.connected_at = moment(connected_at)
    for role, silent_s in (("user", user), ("otomo", otomo)):
        call.liveness[role].last_proof = None if silent_s is None else NOW - silent_s
        call.liveness[role].had_socket = True
    return call


def waiting(
    user: float | None = 0.0,
    otomo: float | None = 0.0,
    *,
    reason: InterruptionReason = "no_rtp",
    party: PartyRole | None = None,
) -> LiveCall:
    """An interrupted call whose window is over."""
    call = call_with(user, otomo)
    call.state = CallState.INTERRUPTED
    call.interruption = Interruption(reason, party, moment(NOW - 25.0), moment(NOW - 20.0), moment(NOW))
    return call


def ends(call: LiveCall, online=("user", "otomo")) -> tuple[EndReason, PartyRole | None]:
    reason, person = end_reason_of(call, NOW, {one for one in call.parties if one.role in online}, AFTER_S)
    return reason, person and person.role


def test_the_limits_of_the_contract():
    timers = CallTimers()
    assert (timers.interrupted_after_s, timers.reconnect_window_s) == (5.0, 20.0)
    assert (timers.ring_s, timers.setup_s) == (30.0, 30.0)


# who is silent


@pytest.mark.parametrize("who", ["user", "otomo"])
@pytest.mark.parametrize(("silent_s", "found"), [(0.0, False), (5.0, False), (5.0 + JUST, True), (100.0, True)])
def test_a_party_is_away_whose_last_proof_is_older_than_five_seconds(who, silent_s, found):
    call = call_with(**{who: silent_s})
    assert silent_party(call, NOW, AFTER_S) == (who if found else None)


@pytest.mark.parametrize(("since_s", "found"), [(5.0, False), (5.0 + JUST, True)])
def test_who_never_sent_has_five_seconds_from_the_connection(since_s, found):
    call = call_with(otomo=None, connected_at=NOW - since_s)
    assert silent_party(call, NOW, AFTER_S) == ("otomo" if found else None)


def test_of_two_who_are_silent_the_longer_one_is_named():
    assert silent_party(call_with(user=6.0, otomo=7.0), NOW, AFTER_S) == "otomo"
    assert silent_party(call_with(user=7.0, otomo=6.0), NOW, AFTER_S) == "user"


def test_silence_counts_from_the_last_proof_not_from_the_connection():
    call = call_with(user=3.0, otomo=None)
    assert silent_for(call, call.liveness["user"], NOW) == 3.0
    assert silent_for(call, call.liveness["otomo"], NOW) == NOW - CONNECTED


def test_nobody_is_silent_before_the_connection():
    call = call_with(user=None, otomo=None)
    call.connected_at = None
    assert silent_party(call, NOW, AFTER_S) is None


# why it ends


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        ("worker_died", EndReason.WORKER_DIED),
        ("node_lost", EndReason.NODE_LOST),
        ("moved", EndReason.NODE_LOST),
    ],
)
@pytest.mark.parametrize("silent", [{"user": 25.0, "otomo": 25.0}, {"user": 0.0, "otomo": 25.0}])
def test_a_lost_room_is_the_reason_whatever_else_is_wrong(reason, ended, silent):
    call = waiting(**silent, reason=reason)
    call.liveness["otomo"].bad_since = NOW - 20.0
    assert ends(call, online=()) == (ended, None)


def test_a_silent_party_that_has_no_socket_and_had_one_is_disconnected():
    assert ends(waiting(otomo=25.0), online=["user"]) == (EndReason.DISCONNECT, "otomo")


def test_who_never_had_a_socket_has_lost_none():
    call = waiting(otomo=25.0)
    call.liveness["otomo"].had_socket = False
    assert ends(call, online=["user"]) == (EndReason.RTP_STOPPED, "otomo")


def test_a_socket_that_came_back_counts():
    assert ends(waiting(otomo=25.0)) == (EndReason.RTP_STOPPED, "otomo")


def test_the_socket_of_who_is_there_does_not_count():
    assert ends(waiting(otomo=25.0), online=["otomo"]) == (EndReason.RTP_STOPPED, "otomo")


def test_a_silent_partys_bad_network_is_the_reason():
    call = waiting(otomo=25.0)
    call.liveness["otomo"].bad_since = NOW - 1.0
    assert ends(call) == (EndReason.NETWORK_FAILED, "otomo")


def test_the_bad_network_of_who_is_there_does_not_count():
    call = waiting(otomo=25.0)
    call.liveness["user"].bad_since = NOW - 20.0
    assert ends(call) == (EndReason.RTP_STOPPED, "otomo")


def test_of_three_reasons_the_first_one_counts():
    call = waiting(otomo=25.0)
    call.liveness["otomo"].bad_since = NOW - 20.0
    assert ends(call, online=["user"]) == (EndReason.DISCONNECT, "otomo")
    assert ends(call) == (EndReason.NETWORK_FAILED, "otomo")
    call.liveness["otomo"].bad_since = None
    assert ends(call) == (EndReason.RTP_STOPPED, "otomo")


def test_a_rule_is_asked_of_both_parties_before_the_next_one():
    """The otomo's lost socket comes before the user's bad network, though the user comes first."""
    call = waiting(user=25.0, otomo=25.0)
    call.liveness["user"].bad_since = NOW - 20.0
    assert ends(call, online=["user"]) == (EndReason.DISCONNECT, "otomo")


@pytest.mark.parametrize("party", ["user", "otomo"])
def test_of_two_who_are_silent_the_one_that_caused_the_interruption_is_named(party):
    assert ends(waiting(user=25.0, otomo=25.0, party=party)) == (EndReason.RTP_STOPPED, party)
    assert ends(waiting(user=25.0, otomo=25.0, party=party), online=()) == (EndReason.DISCONNECT, party)


def test_who_came_back_is_not_named_though_it_caused_the_interruption():
    assert ends(waiting(user=0.0, otomo=25.0, party="user")) == (EndReason.RTP_STOPPED, "otomo")


def test_two_who_were_back_in_turn_and_never_together_leave_nobody_to_name():
    assert ends(waiting(user=1.0, otomo=4.0)) == (EndReason.RTP_STOPPED, None)


def test_the_wall_clock_decides_nothing():
    """The same call under a wall clock that says something else: only monotonic times are compared."""
    call, in_1970 = waiting(otomo=25.0), waiting(otomo=25.0)
    in_1970.connected_at = Moment(CONNECTED, 0)
    in_1970.interruption = Interruption("no_rtp", None, Moment(NOW - 25.0, 0), Moment(NOW - 20.0, 0), Moment(NOW, 0))
    assert silent_party(call, NOW, AFTER_S) == silent_party(in_1970, NOW, AFTER_S) == "otomo"
    assert ends(call, online=["user"]) == ends(in_1970, online=["user"]) == (EndReason.DISCONNECT, "otomo")
