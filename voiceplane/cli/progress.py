"""Progress of what takes long: a line that redraws itself on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.progress import Progress

Tell = Callable[[str], None]

COUNTED = re.compile(r"(?P<what>.+?) (?P<done>\d+)/(?P<total>\d+)")


@contextmanager
def steps() -> Iterator[Tell]:
    """Steps as they begin, on stderr, so that stdout holds the result alone. ``compiling 17/231`` fills a bar."""
    with live(stderr=True) as shown:
        yield (lambda line: click.echo(line, err=True)) if shown is None else Steps(shown).begin


@contextmanager
def live_log(under_way: str) -> Iterator[Tell]:
    """Gives a function that prints lines on stdout; on a terminal, ``under_way`` and the seconds stand below them."""
    with live(stderr=False) as shown:
        if shown is None:
            yield click.echo
        else:
            shown.add_task(under_way, total=None)
            yield lambda line: shown.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def live(*, stderr: bool) -> Iterator[Progress | None]:
    """A display that redraws itself at the end of a stream; None where the stream is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=stderr)
    if not console.is_terminal or console.is_dumb_terminal:
        yield None
        return
    text = TextColumn("{task.description}", markup=False)
    with Progress(SpinnerColumn(), text, BarColumn(30), TimeElapsedColumn(), console=console, transient=True) as shown:
        yield shown


class Steps:
    """The steps of one piece of work: those that are done stay, the one under way redraws itself."""

    def __init__(self, shown: Progress) -> None:
        self._shown = shown
        self._current = ""
        self._task = shown.add_task("", total=None, visible=False)

    def begin(self, line: str) -> None:
        """``line`` names a step that begins, or says how far the present one is."""
        counted = COUNTED.fullmatch(line)
        what = counted["what"] if counted else line
        if what != self._current:
            if self._current:
                self._shown.console.print(self._current, highlight=False, markup=False)
            self._current = what
            self._shown.reset(self._task, description=what, total=None, visible=True)
        if counted:
            self._shown.update(self._task, completed=int(counted["done"]), total=int(counted["total"]))
