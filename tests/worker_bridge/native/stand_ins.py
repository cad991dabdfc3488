"""Programs for a machine that has none: shell scripts in the place of npm, compilers and workers."""

from __future__ import annotations

from pathlib import Path

RUNS = "#!/bin/sh\nexit 41\n"  # what a worker does that is asked whether it runs here, and no more


def write_executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
