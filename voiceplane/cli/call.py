"""``voiceplane call``: its options, and how a call's report is printed."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import click
import msgspec
from msgspec import structs

from voiceplane.cli.command import BaseUrl, CommandError, WithExamples, as_json, put_json, read_settings
from voiceplane.cli.progress import Tell, live_log

if TYPE_CHECKING:
    from app.settings import Settings
    from voiceplane.client.errors import ClientError
    from voiceplane.testcall import CallReport, Direction, Identity

MAX_SECONDS = 3600


class JudgedDirection(msgspec.Struct, frozen=True, rename="camel"):
    sender: str
    receiver: str
    frames_sent: int
    frames_received: int
    packets_lost: int
    sent_hz: float
    heard_hz: float
    first_sound_ms: float


class JudgedCall(msgspec.Struct, frozen=True, rename="camel"):
    """What ``--json`` prints. ``fault`` is null where both heard each other."""

    call_id: str
    good: bool
    fault: str | None
    setup_ms: float
    directions: list[JudgedDirection]
    released: dict[str, int]


@click.command(
    cls=WithExamples,
    short_help="Let two parties talk through a server, and check what each hears.",
    examples=[
        "voiceplane call --base http://127.0.0.1:8080",
        "voiceplane call --base https://voice.example.com --seconds 60 --json",
        "voiceplane call --base https://voice.example.com --admin-token JWT --user-token JWT --otomo-token JWT",
    ],
)
@click.option("--base", required=True, type=BaseUrl(), metavar="URL", help="The server, as in http://127.0.0.1:8080.")
@click.option("--seconds", type=click.FloatRange(1, MAX_SECONDS), default=5.0, help="How long to talk (default: 5).")
@click.option("--token-secret", metavar="SECRET", help="Sign tokens with this; else with the server's own.")
@click.option("--admin-token", metavar="JWT", help="The admin's token, instead of signing one.")
@click.option("--user-token", metavar="JWT", help="The user's token, instead of signing one.")
@click.option("--otomo-token", metavar="JWT", help="The otomo's token, instead of signing one.")
@as_json
def call(
    base: str,
    seconds: float,
    token_secret: str | None,
    *,
    admin_token: str | None,
    user_token: str | None,
    otomo_token: str | None,
    as_json: bool,
) -> int:
    """Let two parties talk through a server, and check what each hears.

    An admin opens a free call, both parties send a tone, and each must hear the other's, nearly complete. Exits with 0
    if so, else with 1 and what is wrong. Needs voiceplane's media libraries: pip install 'voiceplane[call]'.
    """
    settings = read_settings()
    quiet(settings)
    if token_secret is not None:
        settings = replace(settings, jwt_secret=token_secret, jwt_jwks=None)
    admin = identity("admin", admin_token, settings)
    user = identity("user", user_token, settings)
    otomo = identity("otomo", otomo_token, settings)
    with nullcontext(unsaid) if as_json else live_log("on the call") as tell:
        report = talk(base, admin, user, otomo, seconds, tell)
    return verdict(report, as_json=as_json)


def unsaid(_line: str) -> None:
    """Drops the steps: scripts want the result alone."""


def quiet(settings: Settings) -> None:
    """Silence aioice, which logs every ICE check at info."""
    if settings.log_level != "debug":
        logging.getLogger("aioice").setLevel(logging.WARNING)


def identity(who: str, token: str | None, settings: Settings) -> Identity:
    from voiceplane.testcall import Identity

    if token is None:
        return Identity.signed(who, settings)
    try:
        return Identity.of(token)
    except ValueError as error:
        raise CommandError(f"--{who}-token is {error}") from error


def talk(base: str, admin: Identity, user: Identity, otomo: Identity, seconds: float, tell: Tell) -> CallReport:
    """Make the call. Raises CommandError with the reason where it fails."""
    from app.http.server import run_async
    from voiceplane.client.errors import ClientError
    from voiceplane.testcall import run_call

    try:
        return run_async(run_call(base, admin.token, user, otomo, seconds=seconds, say=tell))
    except ImportError as error:
        lacking = f"a call needs the media libraries ({error.name} is missing)"
        raise CommandError(f"{lacking}: pip install 'voiceplane[call]'") from error
    except ClientError as error:
        raise CommandError(f"the call failed: {error}{hint(error)}") from error


def hint(error: ClientError) -> str:
    from voiceplane.client.errors import Refused

    if not (isinstance(error, Refused) and error.code == "UNAUTHORIZED"):
        return ""
    return " (was the token signed with that server's secret? Run this with its settings, or give --token-secret)"


def verdict(report: CallReport, *, as_json: bool) -> int:
    """Print what each party heard. Returns the exit code: 1 where one did not hear the other's tone."""
    fault = report.fault()
    if as_json:
        put_json(described(report))
    else:
        click.echo(f"{report.to_otomo}\n{report.to_user}")
    if fault:
        click.echo(f"voiceplane: the call is not good: {fault}", err=True)
    elif not as_json:
        click.echo("The call is good: each party heard the other's tone.")
    return 1 if fault else 0


def described(report: CallReport) -> JudgedCall:
    return JudgedCall(
        call_id=report.call_id,
        good=report.fault() is None,
        fault=report.fault(),
        setup_ms=round(report.setup_ms, 1),
        directions=[described_direction(one) for one in (report.to_otomo, report.to_user)],
        released=structs.asdict(report.released),
    )


def described_direction(one: Direction) -> JudgedDirection:
    return JudgedDirection(
        sender=one.sender,
        receiver=one.receiver,
        frames_sent=one.frames_sent,
        frames_received=one.frames_received,
        packets_lost=one.packets_lost,
        sent_hz=round(one.sent_hz, 1),
        heard_hz=round(one.heard_hz, 1),
        first_sound_ms=round(one.first_sound_ms, 1),
    )
