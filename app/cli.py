"""The command ``voiceplane``: what can be asked of it, and how its failures are told.

Owns arguments, exit codes and the life of the serving process. What a command does stands in the module that it
calls, imported when it is called, so that ``--help`` needs neither the worker nor the media libraries.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, Field, fields
from typing import Any

from aiohttp import web

from app import logs
from app.jwks import JwksError
from app.ledger.errors import LedgerError
from app.settings import Settings, SettingsError, variable
from worker_bridge.errors import BridgeError

SHUTDOWN_TIMEOUT_S = 10.0  # for requests under way; whoever stops us kills us not much later
BACKLOG = 1024  # connections that wait to be accepted
LINGERING_S = 2.0  # how long the rest of a refused body is read and dropped before the connection is closed
UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_TTL_S = 10 * 365 * 86400

Command = Callable[[argparse.Namespace, Settings], int]

_log = logging.getLogger(__name__)


class CommandError(Exception):
    """The command can't do what it was asked; the text is one sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns its exit code: 0, or 1 with one sentence on stderr. Wrong arguments exit with 2."""
    args = parser().parse_args(argv)
    logs.configure()
    try:
        settings = Settings.from_env()
        logs.configure(settings.log_level, settings.log_format)
        code: int = args.run(args, settings)
    except (CommandError, SettingsError, JwksError, BridgeError, LedgerError) as error:
        sys.stderr.write(f"voiceplane: {str(error).rstrip('.')}.\n")
        return 1
    except BrokenPipeError:  # `voiceplane ... | head`: nobody reads on, and nobody reads a sentence about it either
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        return 130  # 128 + SIGINT, as shells count
    return code


def parser() -> argparse.ArgumentParser:
    """The whole command line; every leaf names the function that does it as ``run``."""
    from app.client import call as client

    root = argparse.ArgumentParser(
        prog="voiceplane",
        description="Paid voice calls: an HTTP and WebSocket control plane over the native mediasoup worker.",
    )
    commands = root.add_subparsers(title="commands", required=True, metavar="COMMAND")

    serve = leaf(commands, "serve", serve_command, "serve HTTP and WebSocket until SIGINT or SIGTERM")
    serve.formatter_class = argparse.RawDescriptionHelpFormatter
    serve.epilog = settings_help()

    token = leaf(commands, "token", token_command, "print a token, signed with the node's own secret")
    token.add_argument("--sub", required=True, metavar="ID", help="the user id")
    token.add_argument("--role", required=True, choices=("user", "otomo", "admin"))
    token.add_argument("--ttl", type=duration, default=3600.0, metavar="TIME", help="90s, 30m, 1h or 7d (default: 1h)")

    worker = commands.add_parser("worker", help="get, find or check the native worker").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    build = leaf(worker, "build", build_command, "fetch or build the worker and its schemas, unless they are there")
    build.add_argument("--force", action="store_true", help="even where they are there")
    leaf(worker, "path", path_command, "print which worker binary would be run")
    leaf(worker, "check", check_command, "start the worker once and see that it does what we need")

    database = commands.add_parser("db", help="care for the database").add_subparsers(
        title="commands", required=True, metavar="COMMAND"
    )
    leaf(database, "upgrade", upgrade_command, "bring the database to this release's schema, as every start does")

    call = leaf(commands, "call", call_command, "let two parties talk through a server, and check what each one hears")
    client.add_arguments(call)
    return root


def leaf(commands: Any, name: str, run: Command, does: str) -> argparse.ArgumentParser:
    """One command of ``commands``. ``does`` is said in its own help, and in that of the command above."""
    says = f"{does[0].upper()}{does[1:]}."
    command: argparse.ArgumentParser = commands.add_parser(name, help=does, description=says)
    command.set_defaults(run=run)
    return command


def settings_help() -> str:
    """Every setting with what it means, for the end of ``voiceplane serve --help``."""
    width = max(len(variable(one.name)) for one in fields(Settings))
    lines = [
        f"  {variable(one.name):<{width}}  {one.metadata['means']}{shown_default(one)}" for one in fields(Settings)
    ]
    return "settings, from the environment or from .env in the current folder:\n" + "\n".join(lines)


def shown_default(one: Field[Any]) -> str:
    if one.default is MISSING or not one.default:
        return ""
    match one.default:
        case frozenset() as words:
            return f" (default: {','.join(sorted(words))})"
        case float() as number:
            return f" (default: {number:g})"
        case value:
            return f" (default: {value})"


def duration(text: str) -> float:
    """``90s``, ``1.5h`` or plain seconds, as seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text.strip())
    seconds = float(match[1]) * UNITS_S[match[2]] if match else 0.0
    if not 0 < seconds <= MAX_TTL_S:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time like 90s, 30m, 1h or 7d (10 years at most)")
    return seconds


def run_async(work: Coroutine[Any, Any, int]) -> int:
    """Run to the end on uvloop, where there is one."""
    try:
        import uvloop
    except ImportError:  # Windows has none
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def serve_command(_args: argparse.Namespace, settings: Settings) -> int:
    from app.application import create_app

    return run_async(serve(create_app(settings), settings))


async def serve(app: web.Application, settings: Settings, started: Callable[[str], None] = lambda _url: None) -> int:
    """Serve until SIGINT or SIGTERM; then stop listening, let requests end, and close what the application owns.

    A second signal does what it does to any program.

    :param started: is told the base URL once connections are accepted.
    :raises CommandError: where the address can't be had.
    """
    runner = make_runner(app)
    with stop_signals() as stop:
        try:
            await runner.setup()
            calm_collector()
            url = await listen(runner, settings)
            _log.info("listening on %s", url)
            started(url)
            _log.info("stopping on %s", (await stop).name)
        finally:
            await runner.cleanup()
    return 0


def calm_collector() -> None:
    """Have the garbage collector leave alone what was there at the start, and look less often at what came since.

    A request makes many objects and hardly a cycle; at Python's own thresholds a third of the CPU went into looking.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


def make_runner(app: web.Application) -> web.AppRunner:
    """The application as it is served: with every option of the HTTP server that is ours to choose."""
    return web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,  # no endpoint takes compressed bodies: none is unpacked, not even to be refused
        handler_cancellation=False,  # a client that hangs up must not cut a handler between the worker's yes and ours
        shutdown_timeout=SHUTDOWN_TIMEOUT_S,
        lingering_time=LINGERING_S,
    )


@contextmanager
def stop_signals() -> Iterator[asyncio.Future[signal.Signals]]:
    """The first of SIGINT and SIGTERM, as a future; from then on they have their ordinary effect again."""
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[signal.Signals] = loop.create_future()
    signals = (signal.SIGINT, signal.SIGTERM)

    def let_go() -> None:
        for one in signals:
            loop.remove_signal_handler(one)

    def caught(signum: signal.Signals) -> None:
        let_go()
        stop.set_result(signum)

    for one in signals:
        loop.add_signal_handler(one, caught, one)
    try:
        yield stop
    finally:
        let_go()


async def listen(runner: web.AppRunner, settings: Settings) -> str:
    """Accept connections. Returns the base URL, with the real port. :raises CommandError: where that can't be."""
    try:
        await web.TCPSite(runner, settings.host, settings.port, backlog=BACKLOG).start()
    except OSError as error:
        # Both loops put a sentence of their own into strerror; a name that isn't resolved has no errno of the system.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise CommandError(f"can't listen on {settings.host} port {settings.port}: {reason}") from error
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{runner.addresses[0][1]}"


def token_command(args: argparse.Namespace, settings: Settings) -> int:
    from app.auth import issue_token

    try:
        sys.stdout.write(issue_token(settings, args.sub, args.role, args.ttl) + "\n")
    except ValueError as error:
        raise CommandError(str(error)) from error
    return 0


def build_command(args: argparse.Namespace, _settings: Settings) -> int:
    from worker_bridge import native

    worker = native.build(progress, force=args.force)
    sys.stdout.write(f"{worker.binary}\n")
    return 0


def path_command(_args: argparse.Namespace, settings: Settings) -> int:
    from worker_bridge import native

    sys.stdout.write(f"{native.locate(given_worker(settings)).binary}\n")
    return 0


def check_command(_args: argparse.Namespace, settings: Settings) -> int:
    from worker_bridge import native

    report = native.check(native.locate(given_worker(settings)))
    what = f"{report.path} is mediasoup {report.version} ({report.origin})"
    sys.stdout.write(f"{what}, and answered {report.milliseconds:.0f} ms after its start\n")
    return 0


def upgrade_command(_args: argparse.Namespace, settings: Settings) -> int:
    from app.ledger import upgrade

    async def bring_up() -> int:
        done = await upgrade(settings.database_url)
        sys.stdout.write(f"the database's schema is {done.after}; it was {done.before or 'none'}\n")
        return 0

    return run_async(bring_up())


def given_worker(settings: Settings) -> str | None:
    return str(settings.worker_bin) if settings.worker_bin is not None else None


def progress(line: str) -> None:
    """To stderr, so that stdout holds the result alone."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def call_command(args: argparse.Namespace, settings: Settings) -> int:
    from app.client import call as client

    return run_async(client.run(args, settings))
