"""What is shown while something takes long: drawn on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from voiceplane.cli.progress import steps

ROOT = Path(__file__).parents[3]


def test_the_steps_of_a_build_are_plain_lines_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with steps() as step:
        step("configuring")
        step("compiling 1/2")
    assert capsys.readouterr() == ("", "configuring\ncompiling 1/2\n")


def test_the_steps_of_a_build_are_drawn_on_a_terminal() -> None:
    shown = on_a_terminal(
        "from voiceplane.cli.progress import steps\nwith steps() as s:\n for i in ('a', 'b 1/2', 'b 2/2'): s(i)"
    )
    assert "a\r\n" in shown
    assert "\x1b[2K" in shown, "the live line is taken away at the end"


def test_news_stands_above_the_live_line_on_a_terminal() -> None:
    shown = on_a_terminal(
        "from voiceplane.cli.progress import live_log\nwith live_log('talking') as n: n('it [rings]')"
    )
    assert "it [rings]\r\n" in shown
    assert "talking" in shown


def test_no_colour_where_none_is_wanted() -> None:
    script = "from voiceplane.cli.progress import steps\nwith steps() as s: s('a'); s('b')"
    coloured = re.compile(r"\x1b\[[0-9;]*3[0-9]m")
    assert coloured.search(on_a_terminal(script))
    assert not coloured.search(on_a_terminal(script, NO_COLOR="1"))


def on_a_terminal(script: str, **environment: str) -> str:
    """What a script writes that runs on a terminal of its own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", script]
    env = {**os.environ, "TERM": "xterm-256color", **environment}
    try:
        with subprocess.Popen(command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs):
            os.close(theirs)
            return b"".join(read_all(ours)).decode()
    finally:
        os.close(ours)


def read_all(terminal: int) -> Iterator[bytes]:
    """Until the last program on the other side has closed it, which a terminal tells as an error (EIO)."""
    with suppress(OSError):
        while piece := os.read(terminal, 4096):
            yield piece
