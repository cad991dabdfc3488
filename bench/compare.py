"""Our server against another over the same worker binary, as ratios: ``python -m bench.compare``.

Needs two things that are not part of this project: a folder with the other server (``server.mjs`` with its packages
installed, which says "ready" when it is) and a driver (a script for Node that takes ``--base``, ``--secret``,
``--mode``, ``--seconds`` and ``--concurrency``, and prints one line of JSON with ``perSecond``). They are given as
``--reference DIR`` and ``--driver FILE``, or as VOICEPLANE_BENCH_REFERENCE and VOICEPLANE_BENCH_DRIVER.

The other server runs as it is, and as one that stores what ours stores (``LEDGER=FILE`` in its environment). All take
turns, who is first in a round changes, and every run has a fresh server. What they have in common, above all a noisy
machine, cancels out of a round's ratio; the median of the rounds is the result.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

from bench.servers import SECRET, Server, reference, voiceplane

MODES = ("produce", "setup")

Json = dict[str, Any]
Start = Callable[[], AbstractContextManager[Server]]


def main() -> int:
    """Print one line per mode. Returns the exit code."""
    args = arguments()
    if args.reference is None or args.driver is None:
        sys.stderr.write(
            "bench.compare needs --reference DIR, a folder with server.mjs and its packages, and --driver FILE, the "
            "script that drives both (or VOICEPLANE_BENCH_REFERENCE and VOICEPLANE_BENCH_DRIVER).\n"
        )
        return 2
    for mode in args.modes:
        sys.stdout.write(json.dumps(compare(mode, args)) + "\n")
        sys.stdout.flush()
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description="Compare with another server.")
    parser.add_argument("--reference", type=Path, default=path_of("VOICEPLANE_BENCH_REFERENCE"), metavar="DIR")
    parser.add_argument("--driver", type=Path, default=path_of("VOICEPLANE_BENCH_DRIVER"), metavar="FILE")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run, after its warm-up")
    parser.add_argument("--concurrency", type=int, default=16)
    return parser.parse_args()


def path_of(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def compare(mode: str, args: argparse.Namespace) -> Json:
    """Drive all in turn, and report the ratios of what they did a second: above 1 we are the faster."""
    servers: dict[str, Start] = {
        "ours": voiceplane,
        "reference": partial(reference, args.reference),
        "storing": partial(reference, args.reference, stores=True),
    }
    runs: dict[str, list[Json]] = {name: [] for name in servers}
    for number in range(args.rounds):
        for name in sorted(servers, reverse=number % 2 == 1):
            runs[name].append(run(servers[name], mode, args))
    ours = runs.pop("ours")
    against = {name: summary(theirs) | ratios(ours, theirs) for name, theirs in runs.items()}
    return {"bench": "compare", "mode": mode, "ours": summary(ours), **against}


def run(start: Start, mode: str, args: argparse.Namespace) -> Json:
    """One run on a fresh server: what the driver reports."""
    with start() as server:
        return driven(server, mode, args)


def driven(server: Server, mode: str, args: argparse.Namespace) -> Json:
    """What the driver reports of a server."""
    command = ["node", str(args.driver), "--base", server.base, "--secret", SECRET, "--mode", mode]
    command += ["--seconds", str(args.seconds), "--concurrency", str(args.concurrency)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    report: Json = json.loads(done.stdout)
    return report


def ratios(ours: list[Json], theirs: list[Json]) -> Json:
    each = [mine["perSecond"] / other["perSecond"] for mine, other in zip(ours, theirs, strict=True)]
    return {
        name: round(of(each), 3) for name, of in (("ratio", statistics.median), ("ratioMin", min), ("ratioMax", max))
    }


def summary(runs: list[Json]) -> Json:
    median = {name: round(statistics.median(run[name] for run in runs), 2) for name in ("perSecond", "p50ms", "p99ms")}
    return median | {"errors": sum(run["errors"] for run in runs)}


if __name__ == "__main__":
    sys.exit(main())
