"""A load test's display while it runs: a table that redraws itself, or a line every few seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from voiceplane.loadtest.sampler import Sample

PLAIN_EVERY_S = 5.0


class Screen:
    """`say` prints a line, `show` displays the last second's sample."""

    def __init__(self, *, stderr: bool, live: Live | None) -> None:
        self._stderr = stderr
        self._live = live
        self._plain_at_s = 0.0

    def say(self, line: str) -> None:
        if self._live is not None:
            self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            click.echo(line, err=self._stderr)

    def show(self, sample: Sample) -> None:
        if self._live is not None:
            self._live.update(table(sample))
        elif sample.at_s >= self._plain_at_s:
            self._plain_at_s = sample.at_s + PLAIN_EVERY_S
            self.say("  ".join(f"{name} {value}" for name, value in cells(sample)))


@contextmanager
def screen(*, stderr: bool) -> Iterator[Screen]:
    """The display of a running test. :param stderr: use stderr, where stdout is for the result alone."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=stderr)
    if not console.is_terminal or console.is_dumb_terminal:
        yield Screen(stderr=stderr, live=None)
        return
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        yield Screen(stderr=stderr, live=live)


def table(sample: Sample) -> Table:
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False)
    values = []
    for name, value in cells(sample):
        drawn.add_column(name, justify="right")
        values.append(value)
    drawn.add_row(*values)
    return drawn


def cells(sample: Sample) -> list[tuple[str, str]]:
    return [
        ("seconds", f"{sample.at_s:.0f}"),
        ("calls", str(sample.calls)),
        ("talking", str(sample.talking)),
        ("sent/s", str(sample.sent)),
        ("received/s", str(sample.received)),
        ("lost", f"{sample.lost_percent:.2f}%"),
        ("workers", f"{sample.worker_cpu:.0%}"),
        ("control plane", f"{sample.plane_cpu:.0%}"),
        ("generator", f"{sample.generator_cpu:.0%}"),
    ]
