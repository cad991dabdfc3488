"""``voiceplane token``."""

from __future__ import annotations

import time

import click
import msgspec

from voiceplane.cli.command import CommandError, Duration, WithExamples, as_json, put_json, read_settings


class SignedToken(msgspec.Struct, frozen=True, rename="camel"):
    token: str
    sub: str
    role: str
    expires_in_seconds: int


@click.command(
    cls=WithExamples,
    short_help="Print a token, signed with the node's own secret.",
    examples=[
        "voiceplane token --sub root --role admin",
        "voiceplane token --sub alice --role user --ttl 12h",
        'curl -H "Authorization: Bearer $(voiceplane token --sub root --role admin)" http://127.0.0.1:8080/admin/calls',
    ],
)
@click.option("--sub", required=True, metavar="ID", help="The user id.")
@click.option("--role", required=True, type=click.Choice(["user", "otomo", "admin"]))
@click.option("--ttl", type=Duration(), default=3600.0, metavar="TIME", help="90s, 30m or 12h (default: 1h).")
@as_json
def token(sub: str, role: str, ttl: float, *, as_json: bool) -> None:
    """Print a token, signed with the node's own secret. Where tokens are signed elsewhere, this is refused."""
    settings = read_settings()
    from app.access.tokens import issue_token

    now = time.time()
    try:
        signed = issue_token(settings, sub, role, ttl, now)
    except ValueError as error:
        raise CommandError(str(error)) from error
    if as_json:
        put_json(SignedToken(signed, sub, role, int(ttl)))
    else:
        click.echo(signed)
