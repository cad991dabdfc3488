"""``voiceplane db upgrade | backup``."""

from __future__ import annotations

from pathlib import Path

import click

from voiceplane.cli.command import Group, WithExamples, as_json, put_json, read_settings
from voiceplane.cli.progress import steps


@click.group(cls=Group, examples=["voiceplane db upgrade", "voiceplane db backup ledger.sqlite"])
def db() -> None:
    """Care for the database."""


@db.command(
    cls=WithExamples,
    examples=[
        "voiceplane db upgrade",
        "VOICEPLANE_DATABASE_URL=postgresql://voiceplane@db.example.com/voiceplane voiceplane db upgrade",
    ],
)
@as_json
def upgrade(*, as_json: bool) -> None:
    """Bring the database to this release's schema, as every start does.

    A database that is not there yet is made. One of a later release is refused, and stays as it is.
    """
    settings = read_settings()
    from app import ledger
    from app.http.server import run_async

    done = run_async(ledger.upgrade(settings.database_url))
    if as_json:
        put_json({"before": done.before, "after": done.after})
    else:
        click.echo(f"the database's schema is {done.after}; it was {done.before or 'none'}")


@db.command(
    cls=WithExamples,
    short_help="Copy an SQLite database that is in use.",
    examples=["voiceplane db backup ledger-$(date +%F).sqlite"],
)
@click.argument("target", type=click.Path(path_type=Path))
@as_json
def backup(target: Path, *, as_json: bool) -> None:
    """Copy the node's SQLite database to TARGET, whether the node runs or not, and check the copy.

    TARGET must not be there yet, and is there only once it is whole. For PostgreSQL use pg_dump.
    """
    settings = read_settings()
    from app import ledger

    with steps() as step:
        ledger.back_up(settings.database_url, target, lambda done, total: step(f"copying {done}/{total}"))
    if as_json:
        put_json({"path": str(target.absolute()), "bytes": target.stat().st_size})
    else:
        click.echo(target)
