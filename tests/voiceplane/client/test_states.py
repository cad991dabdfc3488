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
    assert merged("talking", "matched") == "talking"
    assert merged("ended", "talking") == "ended"
    assert merged("talking", "interrupted") == "talking"
    assert merged("interrupted", "talking") == "interrupted"
    assert merged("connecting", "interrupted") == "interrupted"
    assert merged("ringing", "ended") == "ended"
    assert {merged("ringing", word) for word in STORED} >= {"connecting", "talking", "interrupted", "ended"}
