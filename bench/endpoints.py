"""What two webhook endpoints cost those who call, as JSON: ``python -m bench.endpoints --driver FILE``.

The driver is the one of ``bench.compare``. Each round drives a fresh server that nobody wants webhooks of and one with
two endpoints, told of all that an endpoint is told by default, at a receiver in a process of its own; who is first in a
round changes. ``ratio`` is the second's rate by the first's: the median of the rounds, their least and their greatest.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.compare import MODES, Json, driven, path_of, ratios, summary
from bench.servers import ROOT, ask, free_port, running, voiceplane

ENDPOINTS = 2


def main() -> int:
    """Print one line per mode. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.endpoints", description="Measure what endpoints cost.")
    parser.add_argument("--driver", type=Path, default=path_of("VOICEPLANE_BENCH_DRIVER"), metavar="FILE")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of one run, after its warm-up")
    parser.add_argument("--concurrency", type=int, default=16)
    args = parser.parse_args()
    if args.driver is None:
        parser.error("--driver FILE, or VOICEPLANE_BENCH_DRIVER, must name the script that drives the server")
    with receiver() as url:
        for mode in args.modes:
            sys.stdout.write(json.dumps(compare(mode, url, args)) + "\n")
            sys.stdout.flush()
    return 0


def compare(mode: str, url: str, args: argparse.Namespace) -> Json:
    runs: dict[int, list[Json]] = {0: [], ENDPOINTS: []}
    for number in range(args.rounds):
        for endpoints in sorted(runs, reverse=number % 2 == 1):
            with voiceplane(webhook_allow_private="on") as server:
                for each in range(endpoints):
                    ask(server, "POST", "/admin/webhooks", {"url": f"{url}/{each}"})
                runs[endpoints].append(driven(server, mode, args))
    without, having = runs.values()
    figures = {"without": summary(without), "having": summary(having), **ratios(having, without)}
    return {"bench": "endpoints", "mode": mode, **figures}


@contextmanager
def receiver() -> Iterator[str]:
    port = free_port()
    with running(["node", "bench/node/receiver.mjs"], ROOT, {"PORT": str(port)}, "ready", port) as server:
        yield server.base


if __name__ == "__main__":
    sys.exit(main())
