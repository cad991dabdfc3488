"""`voiceplane token`: signed as the node signs, and alone on stdout."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.access.tokens import Authenticator, Claims
from app.settings import Settings
from voiceplane.cli import main

SECRET = "0123456789abcdef0123456789abcdef"


async def test_a_printed_token_is_accepted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VOICEPLANE_JWT_SECRET", SECRET)
    assert main(["token", "--sub", "ann", "--role", "otomo", "--ttl", "2h"]) == 0
    token = capsys.readouterr().out.strip()
    async with Authenticator.open(Settings(jwt_secret=SECRET)) as authenticator:
        claims = await authenticator.authenticate(token)
    assert claims == Claims("ann", "otomo", claims.expires_at)


def test_the_token_alone_is_on_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["token", "--sub", "ann", "--role", "user"]) == 0
    out, err = capsys.readouterr()
    assert out.count(".") == 2
    assert out.count("\n") == 1
    assert "made one in" in err
    assert (tmp_path / "data" / "jwt-secret").is_file()


def test_a_token_for_a_script(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("VOICEPLANE_JWT_SECRET", SECRET)
    assert main(["token", "--sub", "ann", "--role", "user", "--ttl", "90s", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["token"].count(".") == 2
    assert told | {"token": ""} == {"token": "", "sub": "ann", "role": "user", "expiresInSeconds": 90}
