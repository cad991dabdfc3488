"""The verdict on a call, how it is told, and who its parties are."""

from __future__ import annotations

import dataclasses
import json

import pytest

from voiceplane.cli import main
from voiceplane.cli.call import verdict
from voiceplane.client.api import Released
from voiceplane.testcall import CallReport, Direction

GOOD = Direction("user", "otomo", 440.0, 441.0, 250, 240, 3, 130.0)
SECRET = "a secret of the tests, long enough for HS256"


def report(**changed: object) -> CallReport:
    return CallReport("check-1", 50.0, dataclasses.replace(GOOD, **changed), GOOD, Released(4, 2, 2))


@pytest.fixture
def bare(monkeypatch, tmp_path):
    """An empty current folder, and a secret as the only setting."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOICEPLANE_JWT_SECRET", SECRET)
    return monkeypatch


def test_a_call_with_nearly_all_frames_and_the_right_tone_is_good():
    assert report().fault() is None
    assert report(frames_received=238).fault() is None


def test_less_than_95_percent_of_the_frames_is_a_fault():
    assert report(frames_received=237).fault() == "otomo received only 94.8% of user's 250 frames."


@pytest.mark.parametrize("heard_hz", [0.0, 425.0, 455.0, 1000.0])
def test_another_tone_is_a_fault(heard_hz):
    assert report(heard_hz=heard_hz).fault() == f"otomo heard {heard_hz:.0f} Hz where user sent 440 Hz."


def test_either_direction_can_spoil_a_call():
    bad = dataclasses.replace(GOOD, frames_received=0)
    assert CallReport("check-1", 50.0, GOOD, bad, Released(4, 2, 2)).fault() is not None


def test_a_good_call_exits_with_0_and_a_bad_one_with_1_and_a_sentence(capsys):
    assert verdict(report(), as_json=False) == 0
    assert capsys.readouterr().out.endswith("The call is good: each party heard the other's tone.\n")
    assert verdict(report(frames_received=0), as_json=False) == 1
    out, err = capsys.readouterr()
    assert out.count("\n") == 2
    assert err == "voiceplane: the call is not good: otomo received only 0.0% of user's 250 frames.\n"


def test_a_bad_call_as_json_names_its_fault(capsys):
    assert verdict(report(frames_received=0), as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["good"], told["callId"]) == (False, "check-1")
    assert told["fault"] == "otomo received only 0.0% of user's 250 frames."
    assert [one["receiver"] for one in told["directions"]] == ["otomo", "otomo"]


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "e30.e30.e30", "a.MQ.c"])
def test_a_token_that_names_nobody_is_refused_before_anything_is_sent(token, bare, capsys):
    assert main(["call", "--base", "http://127.0.0.1:1", "--user-token", token]) == 1
    assert capsys.readouterr().err == "voiceplane: --user-token is no JWT with a user id in it.\n"
