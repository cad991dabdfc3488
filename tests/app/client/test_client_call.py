"""The verdict on a call, and how its command reads what it was given."""

from __future__ import annotations

import argparse
import dataclasses

import pytest

from app.auth import issue_token
from app.client.api import Released
from app.client.call import CallReport, Direction, add_arguments, run
from app.settings import Settings

GOOD = Direction("user", "otomo", 440.0, 441.0, 250, 240, 3, 130.0)
SECRET = "a secret of the tests, long enough for HS256"


def report(**changed: object) -> CallReport:
    return CallReport("check-1", 50.0, dataclasses.replace(GOOD, **changed), GOOD, Released(4, 2, 2))


def arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(given)


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


@pytest.mark.parametrize("given", [["--base", "127.0.0.1:8080"], ["--base", "http://a", "--seconds", "0"], []])
def test_arguments_that_cannot_work_are_refused(given, capsys):
    with pytest.raises(SystemExit) as ended:
        arguments(*given)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "e30.e30.e30", "a.MQ.c"])
async def test_a_token_that_names_nobody_is_refused_before_anything_is_sent(token, tmp_path, capsys):
    settings = Settings(jwt_secret=SECRET, data_dir=tmp_path)
    assert await run(arguments("--base", "http://127.0.0.1:1", "--user-token", token), settings) == 1
    assert capsys.readouterr().err == "voiceplane: the call failed: --user-token is not a JWT with a user id in it.\n"


async def test_given_tokens_need_no_secret_of_ours(tmp_path, capsys):
    elsewhere = Settings(jwt_secret=SECRET, data_dir=tmp_path)
    ours = Settings(jwt_jwks="keys.json", data_dir=tmp_path)
    tokens = [
        word for who in ("admin", "user", "otomo") for word in (f"--{who}-token", issue_token(elsewhere, who, who, 60))
    ]
    assert await run(arguments("--base", "http://127.0.0.1:1", *tokens), ours) == 1
    assert capsys.readouterr().err.startswith("voiceplane: the call failed: no answer from http://127.0.0.1:1")
