"""``voiceplane worker build | path | check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voiceplane.cli.command import Group, WithExamples, as_json, put_json, read_settings
from voiceplane.cli.progress import steps

if TYPE_CHECKING:
    from worker_bridge.native.commands import Answer


@click.group(cls=Group, examples=["voiceplane worker build", "voiceplane worker check --json"])
def worker() -> None:
    """Get, find or check the native worker."""


@worker.command(
    cls=WithExamples,
    short_help="Build the worker, unless it is there.",
    examples=["voiceplane worker build", "voiceplane worker build --force"],
)
@click.option("--force", is_flag=True, help="Even where they are there.")
@as_json
def build(*, force: bool, as_json: bool) -> None:
    """Build the worker and its schemas, unless they are there.

    It is built from the sources in mediasoup's npm package, with the system's libraries, which takes a minute or more.
    After a security fix of one of these, build again with --force. The steps are printed on stderr.
    """
    read_settings()
    from worker_bridge.native import commands

    with steps() as step:
        put(commands.build_worker(step, force=force), as_json=as_json)


@worker.command(cls=WithExamples, examples=["voiceplane worker path", "voiceplane worker path --json"])
@as_json
def path(*, as_json: bool) -> None:
    """Print which worker binary would be run."""
    binary = given_binary()
    from worker_bridge.native import commands

    put(commands.worker_path(binary), as_json=as_json)


@worker.command(
    cls=WithExamples,
    short_help="Start the worker once, and see that it works.",
    examples=["voiceplane worker check"],
)
@as_json
def check(*, as_json: bool) -> None:
    """Start the worker once, and check that it answers and is of the right release."""
    binary = given_binary()
    from worker_bridge.native import commands

    put(commands.check_worker(binary), as_json=as_json)


def given_binary() -> str | None:
    """The worker that the settings name; None where they name none."""
    binary = read_settings().worker_bin
    return None if binary is None else str(binary)


def put(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        put_json(answer.described)
    else:
        click.echo(answer.text)
