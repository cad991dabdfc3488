"""A token is asked for when it is needed, and again when it is old or was refused."""

from __future__ import annotations

import base64
import json

import pytest

from voiceplane.client.errors import TokenFailed
from voiceplane.client.tokens import EARLY_S, Subject, Tokens


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.signature"


def test_a_token_names_its_subject():
    assert Subject.of(jwt(sub="aki", role="otomo", exp=7)) == Subject("aki", "otomo", 7.0)
    assert Subject.of(jwt(userId=17)) == Subject("17", "user", None)


@pytest.mark.parametrize("token", ["", "nonsense", "a.b.c", "a.MQ.c", jwt(role="user")])
def test_what_names_nobody_is_no_token(token):
    with pytest.raises(ValueError, match="no JWT with a user id in it"):
        Subject.of(token)


async def test_a_token_is_kept_until_it_is_about_to_expire():
    now, given = 1000.0, []

    async def fresh() -> str:
        given.append(jwt(sub="aki", exp=now + 60))
        return given[-1]

    tokens = Tokens(fresh, now=lambda: now)
    assert await tokens.get() == await tokens.get() == given[0]
    now += 60 - EARLY_S + 1
    assert await tokens.get() == given[1]
    assert len(given) == 2


async def test_a_refused_token_is_asked_for_again_where_there_is_somebody_to_ask():
    given = iter(["first", "second"])
    tokens = Tokens(lambda: next(given))
    tokens.forget(await tokens.get())
    tokens.forget("first")  # told late: it is not the present one
    assert await tokens.get() == "second"
    fixed = Tokens("only")
    fixed.forget("only")
    assert await fixed.get() == "only"


def fails() -> str:
    raise OSError("no network")


@pytest.mark.parametrize("source", [fails, lambda: "", lambda: None])
async def test_who_gives_no_token_is_told_of(source):
    tokens = Tokens(source)
    with pytest.raises(TokenFailed):
        await tokens.get()
    with pytest.raises(TokenFailed):
        tokens.subject  # noqa: B018
