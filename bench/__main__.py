"""All benches, one after another, each in a process of its own: ``python -m bench`` prints one line of JSON for each.

A bench is a file in this folder that can be run by itself. Its report is ``{"bench": name, ...}``; one that needs what
is not here (another server to compare with, say) tells so in a sentence on stderr and counts as skipped, not as failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SKIPPED = 2  # a bench's exit code where it was not given what it needs
RUNNABLE = 'if __name__ == "__main__":'
HERE = Path(__file__).resolve()


def main() -> int:
    """Run them all. Returns 1 where one failed."""
    failed = False
    for name in benches():
        done = subprocess.run(
            [sys.executable, "-m", f"bench.{name}"], cwd=HERE.parents[1], stdout=subprocess.PIPE, text=True
        )
        for report in reports(done.stdout):
            sys.stdout.write(json.dumps({"bench": name} | report, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        if done.returncode not in (0, SKIPPED):
            sys.stderr.write(f"bench.{name} failed with {done.returncode}\n")
            failed = True
    return int(failed)


def benches() -> list[str]:
    return sorted(file.stem for file in HERE.parent.glob("*.py") if file != HERE and RUNNABLE in file.read_text())


def reports(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a bench's output, however they are laid out."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        report, end = decoder.raw_decode(text)
        yield report
        text = text[end:]


if __name__ == "__main__":
    sys.exit(main())
