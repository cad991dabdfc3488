"""``voiceplane worker build | path | check``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voiceplane.cli.command import Group, WithExamples, as_json, put_json, read_settings
from voiceplane.cli.progress import steps

if TYPE_CHECKING:
    from worker_bridge.native import NativeWorker


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

    It is built from the sources of mediasoup's npm package, with the system's libraries, which takes a minute or more.
    So a security fix of one of these is had with --force. The steps are told on stderr.
    """
    read_settings()
    from worker_bridge import native

    with steps() as step:
        built = native.build(step, force=force)
    show(built, as_json=as_json)


@worker.command(cls=WithExamples, examples=["voiceplane worker path", "voiceplane worker path --json"])
@as_json
def path(*, as_json: bool) -> None:
    """Print which worker binary would be run."""
    show(find(), as_json=as_json)


@worker.command(
    cls=WithExamples,
    short_help="Start the worker once, and see that it works.",
    examples=["voiceplane worker check"],
)
@as_json
def check(*, as_json: bool) -> None:
    """Start the worker once, and see that it is at work and of our release."""
    from worker_bridge import native

    found = find()
    report = native.check(found)
    if as_json:
        put_json(described(found) | {"openssl": report.openssl, "answeredAfterMs": round(report.milliseconds, 1)})
    else:
        openssl = f"OpenSSL {report.openssl} in it" if report.openssl else "the system's OpenSSL"
        what = f"{report.path} is mediasoup {report.version} ({report.origin}) with {openssl}"
        click.echo(f"{what}, and answered {report.milliseconds:.0f} ms after its start")


def find() -> NativeWorker:
    """The worker that a node with these settings would run."""
    settings = read_settings()
    from worker_bridge import native

    return native.locate(str(settings.worker_bin) if settings.worker_bin is not None else None)


def show(found: NativeWorker, *, as_json: bool) -> None:
    if as_json:
        put_json(described(found))
    else:
        click.echo(found.binary)


def described(found: NativeWorker) -> dict[str, object]:
    return {
        "path": str(found.binary),
        "schema": str(found.schema),
        "version": found.version,
        "origin": found.origin,
    }
