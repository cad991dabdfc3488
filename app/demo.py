"""``make demo``: start a node of its own, let two parties talk through it, and say what each of them heard."""

from __future__ import annotations

import argparse
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from app import logs
from app.application import create_app
from app.cli import listen, make_runner, run_async
from app.client import call as client
from app.client.errors import ClientError
from app.jwks import JwksError
from app.settings import Settings, SettingsError
from worker_bridge.errors import BridgeError

SECRET = "a secret for the demo alone, thrown away with it"  # noqa: S105  nothing else ever trusts it
SECONDS = 5.0


async def demo(settings: Settings) -> int:
    """Serve, call, stop. The exit code of ``voiceplane call``."""
    runner = make_runner(create_app(settings))
    try:
        await runner.setup()
        base = await listen(runner, settings)
        sys.stdout.write(f"a node is up on {base}\n")
        parser = client_arguments()
        return await client.run(parser.parse_args(["--base", base, "--seconds", str(SECONDS)]), settings)
    finally:
        await runner.cleanup()


def free_port() -> int:
    """A port that nothing listens on now, so that a node that runs already is left alone."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def client_arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    client.add_arguments(parser)
    return parser


def main() -> int:
    logs.configure("warning", "text")
    with tempfile.TemporaryDirectory(prefix="voiceplane-demo-") as folder:
        try:
            own = replace(Settings.from_env(), port=0, workers=1, data_dir=Path(folder), jwt_secret=SECRET)
            settings = replace(own, jwt_jwks=None, rtc_port=free_port(), database_url=f"sqlite:///{folder}/demo.sqlite")
            return run_async(demo(settings))
        except (SettingsError, JwksError, BridgeError, ClientError) as error:
            sys.stderr.write(f"voiceplane: {str(error).rstrip('.')}.\n")
            return 1


if __name__ == "__main__":
    sys.exit(main())
