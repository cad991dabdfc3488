"""``voiceplane db upgrade``."""

from __future__ import annotations

import click

from app.cli.command import Group, WithExamples, as_json, put_json, read_settings


@click.group(cls=Group, examples=["voiceplane db upgrade"])
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

    A new database is made. One of a later release is refused, and stays as it is.
    """
    settings = read_settings()
    from app import ledger
    from app.server import run_async

    done = run_async(ledger.upgrade(settings.database_url))
    if as_json:
        put_json({"before": done.before, "after": done.after})
    else:
        click.echo(f"the database's schema is {done.after}; it was {done.before or 'none'}")
