"""Who is there: the contract's table, rule by rule and limit by limit. No clock is read: times are numbers."""

from __future__ import annotations

import pytest

from app.calls.call import EndReason, LiveCall, PartyLiveness, both_alive
from app.clock import Moment
from app.person import Person
from app.watch.liveness import LivenessLimits, end_reason_of, silent_for
from schemas.types import PartyRole

CONNECTED = 1000.0
NOW = 2000.0
LIMITS = LivenessLimits()
JUST = 2**-10  # seconds: more than nothing, and exact


def liveness(
    role: PartyRole = "user", *, silent_s: float | None = 0.0, had_socket: bool = True, bad_s: float | None = None
):
    """A party that was last heard ``silent_s`` seconds ago (None: never), and whose network is bad for ``bad_s``."""
    return PartyLiveness(
        Person(role, role),
        last_proof=None if silent_s is None else NOW - silent_s,
        had_socket=had_socket,
        bad_since=None if bad_s is None else NOW - bad_s,
    )


def judged(*parties: PartyLiveness, online=("user", "otomo"), connected_at=CONNECTED, now=NOW):
    found = end_reason_of(parties, connected_at, now, lambda person: person.role in online, LIMITS)
    return found and (found[0], found[1].role)


def both(user: PartyLiveness, **asked):
    """The user's life beside an otomo with whom nothing is wrong."""
    return judged(user, liveness("otomo"), **asked)


def test_the_limits_of_the_contract():
    assert LivenessLimits(rtp_stopped_after_s=10.0, never_sent_after_s=30.0, grace_s=5.0) == LIMITS


def test_two_parties_who_speak_go_on():
    assert both(liveness()) is None


@pytest.mark.parametrize("who", ["user", "otomo"])
@pytest.mark.parametrize(("silent_s", "reason"), [(10.0, None), (10.0 + JUST, EndReason.RTP_STOPPED)])
def test_rtp_stopped_is_older_than_ten_seconds_at_either_party(who, silent_s, reason):
    parties = [liveness(name, silent_s=silent_s if name == who else 0.0) for name in ("user", "otomo")]
    assert judged(*parties) == (reason and (reason, who))


@pytest.mark.parametrize(("since_s", "reason"), [(30.0, None), (30.0 + JUST, EndReason.RTP_STOPPED)])
def test_a_party_that_never_sent_has_thirty_seconds_from_the_connection(since_s, reason):
    found = both(liveness(silent_s=None), connected_at=NOW - since_s)
    assert found == (reason and (reason, "user"))


@pytest.mark.parametrize(("silent_s", "ends"), [(5.0, False), (5.0 + JUST, True), (10.0, True)])
def test_a_lost_socket_ends_a_call_only_with_five_seconds_of_silence(silent_s, ends):
    found = both(liveness(silent_s=silent_s), online=["otomo"])
    assert found == ((EndReason.DISCONNECT, "user") if ends else None)


def test_a_lost_socket_alone_never_ends_a_call():
    assert judged(liveness(), liveness("otomo"), online=[]) is None


def test_who_never_had_a_socket_has_lost_none():
    assert both(liveness(silent_s=9.0, had_socket=False), online=["otomo"]) is None


def test_a_socket_that_came_back_counts():
    assert both(liveness(silent_s=9.0, had_socket=True), online=["user", "otomo"]) is None


def test_a_party_that_never_sent_and_lost_its_socket_has_five_seconds():
    user = liveness(silent_s=None)
    assert both(user, online=["otomo"], connected_at=NOW - 5.0) is None
    assert both(user, online=["otomo"], connected_at=NOW - 5.0 - JUST) == (EndReason.DISCONNECT, "user")


@pytest.mark.parametrize(
    ("bad_s", "silent_s", "ends"),
    [
        (5.0, 5.0 + JUST, True),
        (5.0 - JUST, 5.0 + JUST, False),  # not bad for long enough
        (60.0, 5.0, False),  # its sound still comes
        (60.0, 0.0, False),
        (None, 9.0, False),
    ],
)
def test_a_bad_network_ends_a_call_only_with_silence(bad_s, silent_s, ends):
    found = both(liveness(silent_s=silent_s, bad_s=bad_s))
    assert found == ((EndReason.NETWORK_FAILED, "user") if ends else None)


def test_of_three_reasons_the_first_one_counts():
    everything = {"bad_s": 60.0}
    assert both(liveness(silent_s=11.0, **everything), online=[]) == (EndReason.RTP_STOPPED, "user")
    assert both(liveness(silent_s=9.0, **everything), online=[]) == (EndReason.DISCONNECT, "user")
    assert both(liveness(silent_s=9.0, **everything)) == (EndReason.NETWORK_FAILED, "user")


def test_a_rule_is_asked_of_both_parties_before_the_next_one():
    """The user's lost socket comes after the otomo's silence, though the user comes first."""
    parties = liveness(silent_s=9.0), liveness("otomo", silent_s=11.0)
    assert judged(*parties, online=["otomo"]) == (EndReason.RTP_STOPPED, "otomo")
    parties = liveness(silent_s=9.0, bad_s=60.0), liveness("otomo", silent_s=9.0)
    assert judged(*parties, online=["user"]) == (EndReason.DISCONNECT, "otomo")


def test_silence_counts_from_the_last_packet_not_from_the_connection():
    assert silent_for(liveness(silent_s=3.0), CONNECTED, NOW) == 3.0
    assert silent_for(liveness(silent_s=None), CONNECTED, NOW) == NOW - CONNECTED


def call_with(user: float | None, otomo: float | None) -> LiveCall:
    call = LiveCall("call", "user", "otomo", 100, Moment(CONNECTED, 0))
    call.liveness["user"].last_proof, call.liveness["otomo"].last_proof = user, otomo
    return call


@pytest.mark.parametrize(
    ("user", "otomo", "alive"),
    [
        (NOW, NOW, True),
        (NOW - 10.0, NOW, True),
        (NOW - 10.0 - JUST, NOW, False),
        (NOW, NOW - 10.0 - JUST, False),
        (NOW, None, False),
        (None, NOW, False),
        (None, None, False),
        (NOW + 1.0, NOW + 1.0, True),  # the unit is looked at a moment after it was due
        (NOW + 10.0 + JUST, NOW + 10.0 + JUST, False),  # long after: nobody knows how it was
    ],
)
def test_a_unit_needs_both_parties_within_ten_seconds_of_it(user, otomo, alive):
    assert both_alive(call_with(user, otomo), NOW, 10.0) is alive


def test_the_wall_clock_decides_nothing():
    """The same lives in a call whose wall clock says something else: only monotonic times are compared."""
    parties = liveness(silent_s=9.0), liveness("otomo")
    today, in_1970 = Moment(CONNECTED, 1_800_000_000_000), Moment(CONNECTED, 0)
    assert judged(*parties, connected_at=today.monotonic) == judged(*parties, connected_at=in_1970.monotonic)
    calls = [LiveCall("call", "user", "otomo", 100, at, connected_at=at) for at in (today, in_1970)]
    assert {call.seconds_at(CONNECTED + 61.0) for call in calls} == {61}
