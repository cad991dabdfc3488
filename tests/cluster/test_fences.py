"""Each fence taken out, one at a time: a test of the ledger fails for each (C12)."""

from __future__ import annotations

import asyncio
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.cluster.proof import LONG, Proof
from tests.crash.killed_node import ROOT

PACKAGES = ("app", "schemas", "voiceplane", "worker_bridge", "tests")
ENDS_WITHIN_S = 240.0
BUSY = "tests/app/ledger/test_parties.py"
FENCED = "tests/app/ledger/test_changes_fenced.py"
FAILED = 1  # pytest's exit code where tests have failed, and not where there are none, or they can't be read


class Fence(NamedTuple):
    """Where it is, what is written there, what takes it out, and the tests that have to fail then."""

    file: str
    there: str
    gone: str
    tests: str = FENCED


FENCES = {
    "of changes": Fence("changes.py", "(call.node, call.epoch) != (node, change.epoch)", "False"),
    "of changes, by node": Fence(
        "changes.py", "(call.node, call.epoch) != (node, change.epoch)", "call.epoch != change.epoch"
    ),
    "of changes, by room": Fence("changes.py", "(call.node, call.epoch) != (node, change.epoch)", "call.node != node"),
    "of steps that come late": Fence("changes.py", "(call.node, call.epoch) == (node, one.epoch)", "True"),
    "of events that come late": Fence(
        "changes.py", "(call.node == node and call.state is not CallState.ENDED)", "call.state is not CallState.ENDED"
    ),
    "of charges": Fence("charging.py", "(call.node, call.epoch) != (self._node, due.epoch)", "False"),
    "of charges, by node": Fence(
        "charging.py", "(call.node, call.epoch) != (self._node, due.epoch)", "call.epoch != due.epoch"
    ),
    "of charges, by room": Fence(
        "charging.py", "(call.node, call.epoch) != (self._node, due.epoch)", "call.node != self._node"
    ),
    "of proofs, by node": Fence(
        "recovery.py",
        ' & (calls.c.node == node) & (calls.c.epoch == bindparam("in_epoch"))',
        ' & (calls.c.epoch == bindparam("in_epoch"))',
    ),
    "of proofs, by room": Fence("recovery.py", ' & (calls.c.epoch == bindparam("in_epoch"))', ""),
    "of who is busy": Fence("parties.py", "busy_in is not None and busy_in != row", "False and busy_in != row", BUSY),
}


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources and the tests, to be changed."""
    folder = tmp_path_factory.mktemp("sources")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


async def run_tests(folder: Path, tests: str) -> tuple[int | None, str]:
    """pytest's exit code, and the end of what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "sqlite", tests),
        cwd=folder,
        stdin=DEVNULL,
        stdout=PIPE,
    )
    try:
        async with asyncio.timeout(ENDS_WITHIN_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, said.decode()[-2000:]


@pytest.mark.skipif(not LONG, reason="takes long: make test-cluster")
@pytest.mark.timeout(2 * ENDS_WITHIN_S)
@pytest.mark.parametrize("what", FENCES)
async def test_a_test_fails_without_the_fence(copy: Path, what: str, proof: Proof) -> None:
    fence = FENCES[what]
    file = copy / "app" / "ledger" / fence.file
    whole = file.read_text()
    assert whole.count(fence.there) == 1
    file.write_text(whole.replace(fence.there, fence.gone))
    try:
        code, said = await run_tests(copy, fence.tests)
    finally:
        file.write_text(whole)
    assert code == FAILED, said
    proof("C12", f"the fence {what} taken out", "a test fails")
