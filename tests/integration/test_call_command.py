"""`voiceplane call` against a running node: its exit code and its sentence."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from app.keys import DRAIN
from tests.conftest import SECRET, serving
from tests.integration.conftest import worker_holds_nothing
from voiceplane.client.errors import CallEnded, NoMedia
from voiceplane.testcall import Identity, run_call

REPOSITORY = Path(__file__).parents[2]
COMMAND_TIMEOUT_S = 60.0


async def test_a_good_call_is_told_and_exits_with_0(server, tmp_path):
    code, out, err = await command(server, tmp_path)
    assert code == 0, err
    assert "closed 4 transports, 2 producers, 2 consumers" in out
    assert out.endswith("The call is good: each party heard the other's tone.\n")
    assert err == ""
    await worker_holds_nothing(server)


async def test_a_script_gets_the_call_as_json(server, tmp_path):
    code, out, err = await command(server, tmp_path, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert (told["good"], told["fault"], told["released"]["transports"]) == (True, None, 4)
    assert [one["framesSent"] for one in told["directions"]] == [50, 50]


async def test_a_refusal_is_told_and_exits_with_1(server, tmp_path):
    code, out, err = await command(server, tmp_path, "--token-secret", SECRET[::-1])
    assert (code, out) == (1, "")
    assert err.startswith("voiceplane: the call failed: POST /admin/calls was refused with 401 UNAUTHORIZED (was the ")


async def test_given_tokens_need_no_secret_of_ours(server, tmp_path):
    tokens = [word for who in ("admin", "user", "otomo") for word in (f"--{who}-token", server.token(who, who))]
    code, out, err = await command(server, tmp_path, *tokens, VOICEPLANE_JWT_JWKS="keys.json", VOICEPLANE_JWT_SECRET="")
    assert (code, err) == (0, "")
    assert "The call is good" in out


async def test_a_node_whose_media_address_is_wrong_lets_no_sound_through(settings_with):
    """Signalling alone works well there, so only the sound can tell; and the call is not left open."""
    async with serving(settings_with(rtc_announced_address=("127.0.0.9",))) as server:
        user = Identity("caller", server.token("caller", "user"))
        otomo = Identity("callee", server.token("callee", "otomo"))
        with pytest.raises(NoMedia, match=r"0 of 1 audio frames arrived within 1 s \(ICE checking, DTLS new\)"):
            await run_call(server.base, server.token("root", "admin"), user, otomo, patience_s=1.0)
        await worker_holds_nothing(server)


async def test_a_call_that_the_server_ends_is_told_at_once(server):
    user = Identity("caller", server.token("caller", "user"))
    otomo = Identity("callee", server.token("callee", "otomo"))
    drain = server.app[DRAIN]
    with pytest.raises(CallEnded, match=r"the server ended it \(system_error\)"):
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            await run_call(
                *(server.base, server.token("root", "admin"), user, otomo),
                seconds=2 * COMMAND_TIMEOUT_S,
                say=lambda line: drain.begin("end") if line.startswith("both hear") else None,
            )
    await worker_holds_nothing(server)


async def command(server, folder, *options, **environment):
    """The exit code, stdout and stderr of a call for one second."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voiceplane", "call", "--base", server.base, "--seconds", "1", *options),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "VOICEPLANE_JWT_SECRET": SECRET, **environment},
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(COMMAND_TIMEOUT_S):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()
