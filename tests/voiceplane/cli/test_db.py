"""`voiceplane db`, as a process of its own. What it does to databases is in `tests/app/ledger`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_a_database_is_brought_up_once(tmp_path: Path) -> None:
    def run(*options: str) -> str:
        command = [sys.executable, "-m", "voiceplane", "db", "upgrade", *options]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=True).stdout

    first = json.loads(run("--json"))
    assert first["before"] is None
    assert run() == f"the database's schema is {first['after']}; it was {first['after']}\n"
