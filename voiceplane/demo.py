"""``make demo``: starts a node, lets two parties talk through it, and says what each of them heard."""

from __future__ import annotations

import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import click

from app import logs
from app.application import create_app
from app.http.server import run_async, served
from app.settings import Settings
from voiceplane.cli.call import quiet, verdict
from voiceplane.cli.root import failures
from voiceplane.testcall import Identity, run_call

SECRET = "a secret for the demo alone, thrown away with it"  # noqa: S105  nothing else ever trusts it


async def demo(settings: Settings) -> int:
    """Start a node, make a call, stop. Returns the exit code of ``voiceplane call``."""
    async with served(create_app(settings), settings) as base:
        click.echo(f"a node is up on {base}")
        admin, user, otomo = (Identity.signed(who, settings) for who in ("admin", "user", "otomo"))
        return verdict(await run_call(base, admin.token, user, otomo, say=click.echo), as_json=False)


def free_port() -> int:
    """A port that is free now, so that a node that runs already is not disturbed."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def main() -> int:
    logs.configure("warning", "text")
    with tempfile.TemporaryDirectory(prefix="voiceplane-demo-") as folder:
        try:
            own = replace(Settings.from_env(), port=0, workers=1, data_dir=Path(folder), jwt_secret=SECRET)
            settings = replace(own, jwt_jwks=None, rtc_port=free_port(), database_url=f"sqlite:///{folder}/demo.sqlite")
            quiet(settings)
            return run_async(demo(settings))
        except failures() as error:
            click.echo(f"voiceplane: {str(error).rstrip('.')}.", err=True)
            return 1


if __name__ == "__main__":
    sys.exit(main())
