"""How many calls a node with one worker carries, and what a call costs, as JSON: ``python -m bench.capacity --full``.

Each step is a load test (``voiceplane loadtest``) of so many calls against a server of its own. The steps rise until
two in a row lose more than is allowed. The table goes to stderr, and with ``--write`` into ``docs/capacity.md``.
Server, worker and generator share the machine: where they have to share cores, the limit that is found is the
machine's, and the worker's own is told by the CPU time that it spends on a call. Without ``--full``, two small steps:
about a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from typing import Any

from bench.servers import ROOT, SECRET, voiceplane

STEPS = (50, 100, 150, 200, 250, 300, 400, 500, 600)
FEW = (25, 50)
RAMP = 20  # calls a second
HOLD_S = 12
UNIT_S = 5  # so that there is something to charge
MAX_LOSS = 0.1  # percent
MAX_FAILURES = 2  # in a row; a limit between two steps is not looked for
STEP_TIMEOUT_S = 180
DOCUMENT = ROOT / "docs" / "capacity.md"

COLUMNS = (
    *(
        "calls",
        "lost",
        "lost while held",
        "set-up p95",
        "first RTP p95",
        "under way p50 / p99",
        "worker",
        "control plane",
        "generator",
    ),
    *("worker a call-second", "memory a call (plane + worker)", "units wrong"),
)

Json = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.capacity", description="Measure calls per worker.")
    parser.add_argument("--full", action="store_true", help="all steps, up to the limit")
    parser.add_argument("--steps", type=int, nargs="+", metavar="N", help="these numbers of calls")
    parser.add_argument("--write", action="store_true", help="put the table into docs/capacity.md")
    parser.add_argument("--hold", type=int, default=HOLD_S, metavar="SECONDS", help="of full load in each step")
    args = parser.parse_args()
    reports = measure(args.steps or (STEPS if args.full else FEW), args.hold)
    sys.stderr.write(table(reports))
    if args.write:
        write(table(reports))
    sys.stdout.write(json.dumps({"bench": "capacity", "system": platform.release(), "steps": reports}) + "\n")
    return 0


def measure(steps: tuple[int, ...], hold_s: int) -> list[Json]:
    reports: list[Json] = []
    failures = 0
    for calls in steps:
        reports.append(step(calls, hold_s))
        failures = 0 if within_limit(reports[-1]) else failures + 1
        if failures == MAX_FAILURES:
            break
    return reports


def step(calls: int, hold_s: int) -> Json:
    """One load test, without what it saw every second."""
    sys.stderr.write(f"{calls} calls ...\n")
    with voiceplane(unit_seconds=str(UNIT_S)) as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "voiceplane", "loadtest", "--base", server.base, "--token-secret", SECRET),
                *("--calls", str(calls), "--ramp", str(RAMP), "--duration", str(hold_s), "--json", "-"),
                *("--witnesses", "1", "--max-loss", str(MAX_LOSS)),
            ],
            cwd=ROOT,
            env={**os.environ, "VOICEPLANE_UNIT_SECONDS": str(UNIT_S)},
            stdout=subprocess.PIPE,
            text=True,
            timeout=STEP_TIMEOUT_S,
        )
    if not done.stdout:
        raise SystemExit(f"there is no report of {calls} calls")
    report: Json = json.loads(done.stdout)
    del report["samples"]
    return report


def within_limit(report: Json) -> bool:
    lost = report["packets"]["lossPercent"]
    return lost is not None and lost <= MAX_LOSS and report["calls"]["failed"] == 0


def table(reports: list[Json]) -> str:
    """In Markdown."""
    machine = reports[0]["machine"]
    lines = [
        f"{machine['cores']} cores of {machine['model']}, one worker",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(row(report) for report in reports),
    ]
    return "\n".join(lines) + "\n"


def write(found: str) -> None:
    """Between the two marks in the document."""
    before, begin, rest = DOCUMENT.read_text().partition("<!-- capacity: begin -->\n")
    _, end, after = rest.partition("<!-- capacity: end -->")
    DOCUMENT.write_text(before + begin + found + end + after)


def row(report: Json) -> str:
    under_way, cpu, memory = report["forwardingMs"], report["cpu"], report["memory"]
    cells = [
        report["asked"]["calls"],
        f"{report['packets']['lossPercent']} %",
        f"{report['packets']['heldLossPercent']} %",
        f"{report['setupMs']['p95']} ms",
        f"{report['firstRtpMs']['p95']} ms",
        f"{under_way['p50']} / {under_way['p99']} ms",
        f"{cpu['workerCores']:.0%}",
        f"{cpu['controlPlaneCores']:.0%}",
        f"{cpu['generatorCores']:.0%}",
        f"{cpu['workerMsPerCallSecond']} ms",
        f"{memory['planeKibPerCall']} + {memory['workerKibPerCall']} KiB",
        f"{report['billing']['errorUnits']} of {report['billing']['chargedUnits']}",
    ]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
