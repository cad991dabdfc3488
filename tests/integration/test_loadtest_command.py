"""`voiceplane loadtest` against a running node: what it reports, when it fails, and that nothing of it is left."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import pytest

from tests.conftest import SECRET, Server, eventually, serving
from tests.integration.conftest import worker_holds_nothing

REPOSITORY = Path(__file__).parents[2]
UNIT_S = 1.0
TIMEOUT_S = 90.0


@pytest.fixture
async def short_units(settings_with):
    async with serving(settings_with(unit_seconds=UNIT_S)) as server:
        yield server


async def test_five_calls_lose_nothing_and_are_charged_for_as_long_as_they_lasted(short_units, tmp_path):
    code, out, err = await loadtest(
        short_units, "--calls", "5", "--ramp", "10/s", "--duration", "3s", "--witnesses", "1"
    )
    assert (code, err) == (0, ""), out
    found = json.loads((tmp_path / "load.json").read_text())
    assert (found["passed"], found["calls"]["completed"], found["calls"]["endReasons"]) == (True, 5, {"manual": 5})
    packets = found["packets"]
    assert packets["sent"] == packets["received"] > 5 * 2 * 50 * 3
    assert [packets[name] for name in ("lost", "repeated", "strange", "forged", "unsent")] == [0] * 5
    assert found["billing"]["chargedUnits"] >= 5 * 3
    assert found["billing"]["errorUnits"] == 0
    assert found["witnesses"]["bad"] == 0
    assert "Hz of" in out
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")
    await nothing_is_left(short_units)


async def test_a_limit_that_is_not_kept_exits_with_1(server):
    """Its calls have units of their own, as short as the command is told, whatever the server's are."""
    asked = ("--calls", "2", "--duration", "4.5", "--witnesses", "0", "--frame-ms", "60", "--max-setup-p95-ms", "0.1")
    code, out, err = await loadtest(server, *asked, VOICEPLANE_UNIT_SECONDS="1")
    assert code == 1
    assert "NOT KEPT  --max-setup-p95-ms 0.1" in out
    assert re.search(r"billing: [1-9][0-9]* units charged, .* 0 wrong", out)
    assert "kept  --max-billing-error 0: 0 " in out
    assert err.startswith("voiceplane: the load test failed: --max-setup-p95-ms 0.1: ")
    found = json.loads((server.settings.data_dir / "load.json").read_text())
    talked_s = 2 * 2 * (4.5 + 1.0)  # two calls, both ways, with what comes before and after all are there
    assert found["asked"]["frameMs"] == 60
    assert 0 < found["packets"]["sent"] <= talked_s / 0.060
    await nothing_is_left(server)


async def test_an_interrupt_ends_all_calls_and_takes_the_points_back(server):
    process = await started(server, "--calls", "4", "--ramp", "20", "--duration", "60", "--witnesses", "0")
    try:
        await says(process, "4 calls talk; holding them")
        users = [call.user_id for call in server.registry]
        assert [(await server.ledger.balance(user)).balance > 0 for user in users] == [True] * 4
        process.send_signal(signal.SIGINT)
        assert await finished(process) == 130
    finally:
        await killed(process)
    assert [(await server.ledger.balance(user)).balance for user in users] == [0] * 4
    await nothing_is_left(server)


async def test_a_driver_that_is_killed_leaves_no_generator(server):
    process = await started(server, "--calls", "1", "--duration", "60", "--witnesses", "0")
    try:
        await says(process, "1 calls talk")
        (generator,) = children_of(process.pid)
    finally:
        await killed(process)
    await eventually(lambda: Path(f"/proc/{generator}").exists() and "the generator runs on")


async def test_calls_whose_worker_is_killed_go_on_in_another_room_and_are_charged_for_what_was_talked(short_units):
    server = short_units
    asked = ("--calls", "3", "--ramp", "20", "--duration", "8", "--witnesses", "0", "--kill-worker-every", "5")
    code, out, err = await loadtest(server, *asked)
    assert (code, err) == (0, ""), out
    found = json.loads((server.settings.data_dir / "load.json").read_text())
    assert found["calls"]["kills"] == 1
    assert found["calls"]["endReasons"] == {"manual": 3}
    assert (found["calls"]["wentOn"], found["calls"]["cut"], found["calls"]["failed"]) == (3, 0, 0)
    moves = found["moves"]
    assert (moves["count"], moves["calls"], moves["silent"]) == (3, 3, 0)
    assert 0 < moves["toldMs"]["p50"] < moves["connectedMs"]["p50"] < moves["heardMs"]["p50"]
    assert 0 < moves["gapMs"]["p50"] <= moves["gapMs"]["max"]
    assert found["packets"]["lost"] == 0 < found["packets"]["lostWithWorkers"]
    assert found["billing"]["errorUnits"] == 0
    least, most = found["billing"]["provenSeconds"]
    assert least - 3 <= found["billing"]["talkedSeconds"] <= most  # whole seconds of each call
    assert re.search(r"^gap in the sound at each party: p50 [0-9.]+ ms", out, re.MULTILINE)
    await nothing_is_left(server)


async def test_a_server_that_is_gone_ends_the_test_early(settings_with):
    async with serving(settings_with()) as server:
        process = await started(server, "--calls", "2", "--duration", "60", "--witnesses", "0")
        await says(process, "2 calls talk; holding them")
    try:
        await says(process, "no call is left")
        await says(process, "calls: 2 opened, 0 completed, 2 failed")
        assert await finished(process) == 1
    finally:
        await killed(process)


async def test_a_server_that_is_not_on_loopback_is_left_alone(tmp_path):
    for base in ("http://192.0.2.1:8080", "http://0.0.0.0:8080"):
        code, out, err = await command(tmp_path, "--base", base)
        assert (code, out) == (1, "")
        assert err.startswith("voiceplane: the server is at ")
        assert "loopback alone" in err


async def test_media_that_is_not_on_loopback_is_left_alone(settings_with):
    async with serving(settings_with(rtc_announced_address=("192.0.2.1",))) as server:
        code, _, err = await loadtest(server, "--calls", "2", "--duration", "1")
        assert code == 1
        assert err.startswith("voiceplane: no call came up: the server's media is at 192.0.2.1, and a load test")
        await nothing_is_left(server)


async def test_a_wrong_secret_is_told_in_a_sentence(server):
    code, _, err = await loadtest(server, "--token-secret", SECRET[::-1])
    assert code == 1
    assert err == "voiceplane: GET /rtc/capabilities was refused with 401 UNAUTHORIZED.\n"


async def loadtest(server: Server, *options: str, **environment: str) -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr; the report and the plot are in the server's folder."""
    environment = {"VOICEPLANE_UNIT_SECONDS": str(server.settings.unit_seconds), **environment}
    written = ("--json", "load.json", "--plot", "load.png")
    return await command(server.settings.data_dir, "--base", server.base, *options, *written, **environment)


async def command(folder: Path, *options: str, **environment: str) -> tuple[int | None, str, str]:
    process = await spawned(folder, *options, **environment)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
    finally:
        await killed(process)
    return process.returncode, out.decode(), err.decode()


async def started(server: Server, *options: str) -> Process:
    return await spawned(server.settings.data_dir, "--base", server.base, *options)


async def spawned(folder: Path, *options: str, **environment: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "voiceplane", "loadtest", *options),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "VOICEPLANE_JWT_SECRET": SECRET, **environment},
        stdout=PIPE,
        stderr=PIPE,
    )


async def says(process: Process, text: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        while text not in (line := (await process.stdout.readline()).decode()):
            assert line, f"it ended without saying {text!r}"


async def finished(process: Process) -> int:
    async with asyncio.timeout(TIMEOUT_S):
        await process.communicate()
    assert process.returncode is not None
    return process.returncode


async def killed(process: Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.communicate()


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def nothing_is_left(server: Server) -> None:
    """No call lives, and the worker holds no room."""
    await eventually(lambda: [repr(call) for call in server.registry])
    await worker_holds_nothing(server)
