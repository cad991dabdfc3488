"""A call's state goes forward, whatever comes late, and back only from an interruption."""

from __future__ import annotations

import itertools
from typing import get_args

import pytest

from voiceplane.client.states import STORED, CallState, Step, after, merged

ORDER = ["ringing", "connecting", "talking", "ended"]


@pytest.mark.parametrize(("state", "step"), [*itertools.product(get_args(CallState), get_args(Step))])
def test_no_step_leads_back_but_out_of_an_interruption(state, step):
    def rank(one: str) -> int:
        return ORDER.index("talking" if one == "interrupted" else one)

    assert rank(after(state, step)) >= rank(state)


def test_a_call_may_be_interrupted_and_resumed_and_ends_once():
    state: CallState = "ringing"
    course = []
    for step in ("accepted", "connected", "interrupted", "resumed", "interrupted", "ended", "resumed", "connected"):
        state = after(state, step)
        course.append(state)
    assert course == ["connecting", "talking", "interrupted", "talking", "interrupted", "ended", "ended", "ended"]


def test_an_older_answer_changes_nothing():
    for asked in ("since", "before"):
        assert merged("talking", "matched", asked) == "talking"
        assert merged("ended", "talking", asked) == "ended"
        assert merged("connecting", "interrupted", asked) == "interrupted"
        assert merged("ringing", "ended", asked) == "ended"
        course = {merged("ringing", word, asked) for word in STORED}
        assert course >= {"connecting", "talking", "interrupted", "ended"}


def test_an_answer_tells_of_an_interruption_or_of_its_end_where_no_event_has_come_since_it_was_asked_for():
    assert merged("talking", "interrupted", "since") == "interrupted"
    assert merged("interrupted", "talking", "since") == "talking"
    assert merged("talking", "interrupted", "before") == "talking"
    assert merged("interrupted", "talking", "before") == "interrupted"
