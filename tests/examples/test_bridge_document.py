"""The tour in docs/bridge.md shows what is in the examples, and README's first program runs as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.examples.programs import BRIDGE_PROGRAMS, EXAMPLES

ROOT = EXAMPLES.parent
TOUR = (ROOT / "docs/bridge.md").read_text(encoding="utf-8")
CUT = re.findall(r"^\[examples/(\w+\.py)\]\([^)]+\):\n```python\n(.*?)```", TOUR, re.MULTILINE | re.DOTALL)


def flat(code: str) -> str:
    """Code without its indentation, which differs between a file and what is cut from it."""
    return "\n".join(line.strip() for line in code.strip().splitlines())


@pytest.mark.parametrize(("name", "snippet"), CUT, ids=[f"{name}-{number}" for number, (name, _) in enumerate(CUT)])
def test_what_the_tour_shows_is_in_the_example(name: str, snippet: str):
    assert flat(snippet) in flat((EXAMPLES / name).read_text(encoding="utf-8"))


def test_the_tour_goes_through_every_program():
    assert {name for name, _ in CUT} >= set(BRIDGE_PROGRAMS)


def test_the_first_program_of_the_readme_runs():
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The bridge alone")[2]
    program = re.search(r"```python\n(.*?)```", section, re.DOTALL)
    assert program is not None
    ran = subprocess.run([sys.executable, "-c", program[1]], capture_output=True, text=True, check=False)
    assert re.fullmatch(r"worker \d+ routes audio/opus\n", ran.stdout), ran.stderr
    assert not ran.stderr
