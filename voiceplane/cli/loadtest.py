"""``voiceplane loadtest``: its options, and how its report is printed, written and judged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import structs

from voiceplane.cli.command import BaseUrl, CommandError, Duration, WithExamples, json_text, read_settings
from voiceplane.cli.loadscreen import screen
from voiceplane.loadtest.limits import LIMITS, Verdict, verdicts
from voiceplane.loadtest.options import FRAMES_MS, LONGEST_S, MOST_CALLS, MOST_PER_SECOND, MOST_WITNESSES, Options

if TYPE_CHECKING:
    from app.settings import Settings
    from voiceplane.loadtest.report import Report

STDOUT = Path("-")


class Rate(click.ParamType[float]):
    """An option's type: ``10/s`` or plain ``10``, so many a second."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            rate = float(str(value).removesuffix("/s"))
        except ValueError:
            rate = 0.0
        if not 0 < rate <= MOST_PER_SECOND:
            self.fail(f"{value!r} is not a rate like 5/s ({MOST_PER_SECOND:g} a second at most)", param, ctx)
        return rate


def limits(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for each limit to the command."""
    for limit in reversed(LIMITS):
        usual = "" if limit.usual is None else f" (default: {limit.usual:g})"
        help_text = f"{limit.means[0].upper()}{limit.means[1:]}{usual}."
        metavar = limit.unit.upper() if limit.unit.isalpha() else "N"
        command = click.option(f"--{limit.name}", type=click.FloatRange(0), metavar=metavar, help=help_text)(command)
    return command


@click.command(
    cls=WithExamples,
    short_help="Make many calls at once on a local server, and measure.",
    examples=[
        "voiceplane loadtest --calls 50 --ramp 5/s --duration 30",
        "voiceplane loadtest --calls 200 --duration 60 --json load.json --plot load.png --max-late-p99-ms 20",
        "voiceplane loadtest --calls 20 --duration 30 --kill-worker-every 10",
        "voiceplane loadtest --kill-node-every 20 --start-node-with 'systemctl start voiceplane@{name}'",
    ],
)
@click.option("--base", type=BaseUrl(), metavar="URL", help="The server (default: where the settings have it).")
@click.option(
    "--calls", type=click.IntRange(1, MOST_CALLS), default=50, metavar="N", help="How many at once (default: 50)."
)
@click.option("--ramp", type=Rate(), default=5.0, metavar="R/s", help="New calls a second (default: 5/s).")
@click.option("--duration", type=Duration(), default=30.0, metavar="TIME", help="Of the full load (default: 30s).")
@click.option("--json", "json_to", type=click.Path(path_type=Path), metavar="F", help="Write the report; - is stdout.")
@click.option("--plot", type=click.Path(path_type=Path), metavar="F.png", help="Draw calls against CPU and loss.")
@click.option(
    "--witnesses",
    type=click.IntRange(0, MOST_WITNESSES),
    default=2,
    metavar="N",
    help="Calls with real sound (default: 2).",
)
@click.option(
    "--price", type=click.IntRange(0), default=1, metavar="N", help="Points a unit, to test the charging (default: 1)."
)
@click.option(
    "--frame-ms",
    type=click.Choice(FRAMES_MS),
    default=FRAMES_MS[0],
    help="Milliseconds of sound in a packet; clients on bad networks send long ones (default: 20).",
)
@click.option("--kill-worker-every", type=Duration(), metavar="TIME", help="Kill a native worker so often, for faults.")
@click.option("--kill-node-every", type=Duration(), metavar="TIME", help="Kill a node of a cluster so often.")
@click.option(
    "--start-node-with", metavar="COMMAND", help="It starts the killed node {name} again; else somebody else does."
)
@click.option("--token-secret", metavar="SECRET", help="Sign tokens with this; else with the server's own.")
@limits
def loadtest(
    base: str | None,
    calls: int,
    ramp: float,
    duration: float,
    json_to: Path | None,
    plot: Path | None,
    witnesses: int,
    price: int,
    frame_ms: int,
    kill_worker_every: float | None,
    kill_node_every: float | None,
    start_node_with: str | None,
    token_secret: str | None,
    **asked: float | None,
) -> int:
    """Make many calls at once on a local server, through its public API, and measure what they cost.

    Each call is two parties with WebSockets and four DTLS-SRTP transports, who send Opus both ways. Their users are
    made for the test, get points, and lose what is left of them at the end. Exits with 1 where a limit was not kept.
    Runs against loopback alone, with the server's own settings (its secret and VOICEPLANE_UNIT_SECONDS). Ctrl-C ends
    it and cleans up.
    """
    settings = read_settings()
    if duration > LONGEST_S:
        raise CommandError(f"a load test may last {LONGEST_S:.0f} s at most")
    if start_node_with is not None and kill_node_every is None:
        raise CommandError("--start-node-with is for nodes that --kill-node-every kills")
    if token_secret is not None:
        settings = replace(settings, jwt_secret=token_secret, jwt_jwks=None)
    options = Options(
        base=base or f"http://{settings.host}:{settings.port}",
        calls=calls,
        ramp=ramp,
        duration_s=duration,
        price=price,
        unit_s=settings.unit_seconds,
        witnesses=witnesses,
        frame_ms=frame_ms,
        kill_every_s=kill_worker_every,
        kill_node_every_s=kill_node_every,
        start_node_with=start_node_with,
        limits={name.replace("_", "-"): value for name, value in asked.items() if value is not None},
    )
    return perform(options, settings, json_to, plot)


def perform(options: Options, settings: Settings, json_to: Path | None, plot: Path | None) -> int:
    """Run the test; print and write its report. Returns the exit code."""
    try:
        from voiceplane.loadtest.findings import report_of
        from voiceplane.loadtest.run import run
        from voiceplane.loadtest.summary import lines
    except ImportError as error:
        lacking = f"a load test needs the media libraries ({error.name} is missing)"
        raise CommandError(f"{lacking}: pip install 'voiceplane[call]'") from error
    from app.http.server import run_async
    from voiceplane.loadtest.plot import draw, require_matplotlib

    for_scripts = json_to == STDOUT
    if plot is not None:
        require_matplotlib()
    for path in (json_to, plot):
        require_writable(path)
    with screen(stderr=for_scripts) as shown:
        found = run_async(run(options, settings, shown.say, shown.show))
    report = report_of(found)
    held = list(verdicts(report, options.limits))
    judged = structs.replace(report, limits=[one.described() for one in held], passed=all(one.kept for one in held))
    if not for_scripts:
        click.echo("\n".join(lines(judged)))
    if json_to is not None:
        write(judged, json_to)
    if plot is not None:
        draw(found.samples, plot, f"{options.calls} calls")
    return judge(held, quiet=for_scripts)


def require_writable(path: Path | None) -> None:
    """Raises CommandError where the file can't be written, before the test rather than after it."""
    if path is None or path == STDOUT:
        return
    try:
        path.touch()
    except OSError as error:
        raise CommandError(f"{path} can't be written: {error.strerror}") from error


def write(report: Report, to: Path) -> None:
    text = json_text(report)
    if to == STDOUT:
        click.echo(text)
    else:
        to.write_text(text + "\n", encoding="utf-8")


def judge(held: Sequence[Verdict], *, quiet: bool) -> int:
    """Print which limits were kept. Returns 1 where one was not, else 0."""
    broken = [verdict for verdict in held if not verdict.kept]
    if not quiet:
        for verdict in held:
            click.echo(f"{'kept' if verdict.kept else 'NOT KEPT'}  {verdict}")
    if broken:
        click.echo(f"voiceplane: the load test failed: {'; '.join(map(str, broken))}.", err=True)
    return 1 if broken else 0
