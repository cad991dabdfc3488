"""``voiceplane serve``."""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any

import click

from app.settings import Settings
from app.settings_text import variable
from voiceplane.cli.command import WithExamples, read_settings


class Serve(WithExamples):
    """The command, with every setting in its help."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Settings, from the environment or from .env in the current folder"):
            formatter.write_dl([(variable(one.name), f"{one.metadata['means']}{default(one)}") for one in known()])


def known() -> tuple[Field[Any], ...]:
    return fields(Settings)


def default(one: Field[Any]) -> str:
    if one.default is MISSING or not one.default:
        return ""
    match one.default:
        case frozenset() as words:
            return f" (default: {','.join(sorted(words))})"
        case bool():
            return " (default: on)"
        case float() as number:
            return f" (default: {number:g})"
        case value:
            return f" (default: {value})"


@click.command(
    cls=Serve,
    short_help="Serve HTTP and WebSocket.",
    examples=["voiceplane serve", "VOICEPLANE_PORT=9000 VOICEPLANE_WORKERS=2 voiceplane serve"],
)
def serve() -> int:
    """Serve HTTP and WebSocket until SIGINT or SIGTERM."""
    settings = read_settings()
    from app.application import create_app
    from app.http import server

    return server.run_async(server.serve(create_app(settings), settings))
