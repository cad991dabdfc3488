"""``python -m worker_bridge.native build | path | check``: get, find or try the native worker, by nothing but Python.

The steps, and what went wrong, are told on stderr; the answer stands on stdout.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence

from worker_bridge.native import commands, tools
from worker_bridge.native.commands import Answer
from worker_bridge.native.tools import Progress

PROGRAM = "python -m worker_bridge.native"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 1 where there is no worker, 2 where the arguments are wrong."""
    given = parser().parse_args(arguments)
    work: dict[str, Callable[[Progress], Answer]] = {
        "build": lambda progress: commands.build_worker(progress, force=given.force),
        "path": lambda _: commands.worker_path(),
        "check": lambda _: commands.check_worker(),
    }

    def answer(progress: Progress) -> None:
        found = work[given.command](progress)
        print(json.dumps(found.described) if given.json else found.text)

    return tools.as_program("there is no worker", answer)


def parser() -> argparse.ArgumentParser:
    """Of the three commands."""
    whole = argparse.ArgumentParser(prog=PROGRAM, description="Get, find or check the native worker.")
    every = argparse.ArgumentParser(add_help=False)
    every.add_argument("--json", action="store_true", help="print one JSON object, for scripts")
    each = whole.add_subparsers(dest="command", required=True)
    build = each.add_parser("build", parents=[every], help="build the worker and its schemas, unless they are there")
    build.add_argument("--force", action="store_true", help="even where they are there")
    each.add_parser("path", parents=[every], help="print which worker binary would be run")
    each.add_parser("check", parents=[every], help="start the worker once, and see that it works")
    return whole


if __name__ == "__main__":
    sys.exit(main())
