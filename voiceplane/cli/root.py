"""The command ``voiceplane``: its commands, its exit codes, and how its failures are printed.

A command imports what it needs when it is called: ``--help`` needs neither the worker nor HTTP nor the media libraries,
and comes at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import click

from voiceplane.cli.call import call
from voiceplane.cli.command import CommandError, Group
from voiceplane.cli.db import db
from voiceplane.cli.doctor import doctor
from voiceplane.cli.loadtest import loadtest
from voiceplane.cli.serve import serve
from voiceplane.cli.tokens import token
from voiceplane.cli.worker import worker

INTERRUPTED = 130  # 128 + SIGINT, as in shells


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    examples=[
        "voiceplane serve",
        "voiceplane token --sub alice --role user",
        "voiceplane call --base http://127.0.0.1:8080",
    ],
)
@click.version_option(package_name="voiceplane", message="%(prog)s %(version)s")
def cli() -> None:
    """Paid voice calls: an HTTP and WebSocket control plane over the native mediasoup worker."""


for command in (serve, doctor, token, worker, db, call, loadtest):
    cli.add_command(command)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0; 1 with a sentence on stderr; 2 with the usage for wrong arguments."""
    try:
        code = cli.main(argv, prog_name="voiceplane", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except Exception as error:
        if not isinstance(error, failures()):
            raise
        click.echo(f"voiceplane: {str(error).rstrip('.')}.", err=True)
        return 1
    return int(code or 0)


def failures() -> tuple[type[Exception], ...]:
    """The exceptions that are told in one sentence. All others are defects, and show their traceback."""
    from app.access.jwks import JwksError
    from app.http.server import CannotListen
    from app.ledger.errors import LedgerError
    from app.settings_text import SettingsError
    from voiceplane.client.errors import ClientError
    from voiceplane.loadtest.errors import LoadTestError
    from worker_bridge.errors import BridgeError

    return CommandError, SettingsError, CannotListen, JwksError, BridgeError, LedgerError, ClientError, LoadTestError
