"""``voiceplane doctor``: prints the findings, for people or for a script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from voiceplane.cli.command import WithExamples, as_json, put_json, read_settings

if TYPE_CHECKING:
    from voiceplane.doctor import Finding

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(
    cls=WithExamples,
    short_help="See whether this machine and these settings make a node.",
    examples=["voiceplane doctor", "voiceplane doctor --json", "voiceplane doctor && voiceplane serve"],
)
@as_json
def doctor(*, as_json: bool) -> int:
    """See whether this machine and these settings make a node, and say how to mend what does not.

    Looks at the worker, ports, addresses, TURN, tokens, database, disk, clock and limits. Changes nothing, and can be
    asked while the node runs. Exits with 1 when something fails; what only deserves a warning does not.
    """
    from voiceplane.doctor import failed

    findings = examination()
    if as_json:
        put_json({"ok": not failed(findings), "checks": [asdict(one) for one in findings]})
    else:
        show(findings)
    return 1 if failed(findings) else 0


def examination() -> Sequence[Finding]:
    from app import logs
    from app.http.server import run_async
    from app.settings_text import SettingsError
    from voiceplane.doctor import Finding, examine

    try:
        settings = read_settings()
    except SettingsError as error:
        return [Finding("settings", "fail", str(error).rstrip("."), "correct it: nothing else can be checked before")]
    logs.configure("error", settings.log_format)  # what the checks come upon is in the findings
    return [Finding("settings", "ok", "can be read"), *run_async(examine(settings))]


def show(findings: Sequence[Finding]) -> None:
    width = max(len(one.check) for one in findings)
    for one in findings:
        click.echo(f"{click.style(f'{one.state:<4}', fg=COLOURS[one.state])}  {one.check:<{width}}  {one.found}")
        if one.mend:
            click.echo(f"{'':{width + 8}}-> {one.mend}")
    counts = [f"{sum(one.state == state for one in findings)} {state}" for state in COLOURS]
    click.echo(f"\n{len(findings)} check{'s'[: len(findings) > 1]}: {', '.join(counts)}")
