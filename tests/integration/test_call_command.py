"""`voiceplane call` against a running node: its exit code and its sentence."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from app.client.call import Identity, add_arguments, run, run_call
from app.client.errors import NoMedia
from tests.conftest import SECRET, serving
from tests.integration.conftest import worker_holds_nothing

REPOSITORY = Path(__file__).parents[2]
COMMAND_TIMEOUT_S = 60.0


async def test_a_good_call_is_told_and_exits_with_0(server, tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", "call", "--base", server.base, "--seconds", "1"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "VOICEPLANE_JWT_SECRET": SECRET},
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(COMMAND_TIMEOUT_S):
        out, err = (text.decode() for text in await process.communicate())
    assert process.returncode == 0, err
    assert "closed 4 transports, 2 producers, 2 consumers" in out
    assert out.endswith("The call is good: each party heard the other's tone.\n")
    assert err == ""
    await worker_holds_nothing(server)


async def test_a_refusal_is_told_and_exits_with_1(server, settings_with, capsys):
    assert await command(server.base, "--token-secret", SECRET[::-1], settings=settings_with()) == 1
    captured = capsys.readouterr()
    assert captured.err == "voiceplane: the call failed: POST /admin/calls was refused with 401 UNAUTHORIZED.\n"


async def test_a_node_whose_media_address_is_wrong_lets_no_sound_through(settings_with):
    """Signalling alone works well there, so only the sound can tell; and the call is not left open."""
    async with serving(settings_with(rtc_announced_address="127.0.0.9")) as server:
        user = Identity("caller", server.token("caller", "user"))
        otomo = Identity("callee", server.token("callee", "otomo"))
        with pytest.raises(NoMedia, match=r"0 of 1 audio frames arrived within 1 s \(ICE checking, DTLS new\)"):
            await run_call(server.base, server.token("root", "admin"), user, otomo, patience_s=1.0)
        await worker_holds_nothing(server)


async def command(base, *options, settings):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return await run(parser.parse_args(["--base", base, "--seconds", "1", *options]), settings)
