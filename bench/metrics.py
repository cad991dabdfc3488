"""What it costs to be counted, as one JSON line.

Microseconds that the metrics add to a request, a WebSocket command and a worker's answer, and milliseconds for the text
of a node that has seen everything. ``python -m bench.metrics``
"""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from itertools import product

from prometheus_client import generate_latest

from app.ops.metrics import Metrics
from schemas.signaling import COMMANDS

TIMES, ROUNDS = 20_000, 5
ROUTES = [f"/route/{number}" for number in range(45)]  # about as many as there are
CODES = (200, 400, 401, 404)
METHODS = [f"METHOD_{number}" for number in range(40)]  # of those of the worker that a node uses
OUTCOMES = ("accepted", "refused")


def microseconds(work: Callable[[], object], times: int = TIMES) -> float:
    """The best of some rounds."""
    return round(min(timeit.repeat(work, number=times, repeat=ROUNDS)) / times * 1e6, 2)


def everything_seen() -> Metrics:
    metrics = Metrics.made()
    for route, code in product(ROUTES, CODES):
        metrics.request_answered("POST", route, code, 0.001)
    for method, outcome in product(METHODS, OUTCOMES):
        metrics.worker_times(method, outcome)(0.001)
    for command in COMMANDS:
        metrics.command_answered(command, "OK", 0.001)
    return metrics


def main() -> None:
    metrics = everything_seen()
    text = generate_latest(metrics.registry)
    note = metrics.worker_times(METHODS[0], "accepted")
    report = {
        "bench": "metrics",
        "requestUs": microseconds(lambda: metrics.request_answered("POST", ROUTES[0], 200, 0.004)),
        "commandUs": microseconds(lambda: metrics.command_answered("ping", "OK", 0.004)),
        "bridgeUs": microseconds(lambda: note(0.004)),
        "scrapeMs": round(microseconds(lambda: generate_latest(metrics.registry), times=5) / 1000, 2),
        "scrapeLines": text.count(b"\n"),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
