"""What commands share: help that ends in examples, reading settings, durations and URLs as options, JSON results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click
import msgspec

if TYPE_CHECKING:
    from app.settings import Settings

UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_DURATION_S = 10 * 365 * 86400

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for scripts.")


class CommandError(Exception):
    """The command can't be carried out; the text says why, in one sentence."""


class WithExamples(click.Command):
    """A command whose help ends in examples: lines for a shell, printed as they are."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")


class Group(WithExamples, click.Group):
    """A group of commands, with examples."""


class Duration(click.ParamType[float]):
    """An option's type: ``90s``, ``1.5h`` or plain seconds, read as seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", value.strip())
        seconds = float(match[1]) * UNITS_S[match[2]] if match else 0.0
        if not 0 < seconds <= MAX_DURATION_S:
            self.fail(f"{value!r} is not a time like 90s, 30m, 1h or 7d (10 years at most)", param, ctx)
        return seconds


class BaseUrl(click.ParamType[str]):
    """An option's type: a server's URL, without a path."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.match(r"https?://[^/]", value):
            self.fail(f"{value!r} must start with http:// or https://", param, ctx)
        return str(value)


def read_settings() -> Settings:
    """Read the node's settings, and set up the log as they say. Raises SettingsError for a value that can't work."""
    from app import logs
    from app.settings import Settings

    logs.configure()  # for warnings while they are read
    settings = Settings.from_env()
    logs.configure(settings.log_level, settings.log_format)
    return settings


def put_json(value: object) -> None:
    """Print the result as one JSON object on one line."""
    click.echo(json_text(value))


def json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()
