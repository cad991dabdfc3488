"""What it costs the control plane to record calls, and what the calls notice of it, as JSON.

Two load tests (``voiceplane loadtest``) of as many calls, each against a server of its own: one is recorded, the other
is not. CPU is that of the process, over the same seconds of full load; the difference is what recording costs.
Loss, delay and charging are the load test's own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from typing import Any

from bench.servers import ROOT, SECRET, Server, ask, voiceplane

CALLS = 100
RAMP = 20  # calls a second
SETTLE_S = 5.0
WINDOW_S = 20.0
TIMEOUT_S = 240
UNIT_S = 5

Json = dict[str, Any]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.recording", description="Measure the cost of recording.")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--window", type=float, default=WINDOW_S, metavar="SECONDS", help="over which CPU is counted")
    args = parser.parse_args()
    plain, recorded = (run(args.calls, args.window, record=record) for record in (False, True))
    percent = 100 * (recorded["cores"] - plain["cores"]) / args.calls
    report = {
        "calls": args.calls,
        "plain": plain,
        "recorded": recorded,
        "percentOfACorePerCall": round(percent, 4),
        "microsecondsPerPacket": round(percent * 1e4 / recorded["packetsPerCallSecond"], 2),
    }
    sys.stdout.write(json.dumps({"bench": "recording"} | report) + "\n")
    return 0


def run(calls: int, window_s: float, *, record: bool) -> Json:
    """One load test."""
    hold_s = SETTLE_S + window_s + 10
    settings = {"unit_seconds": str(UNIT_S), "recording": "on", "recording_max_calls": "0"}
    with voiceplane(**settings) as server:
        load = subprocess.Popen(
            [
                *(sys.executable, "-m", "voiceplane", "loadtest", "--base", server.base, "--token-secret", SECRET),
                *("--calls", str(calls), "--ramp", str(RAMP), "--duration", str(hold_s), "--json", "-"),
                *("--witnesses", "1"),
            ],
            cwd=ROOT,
            env={**os.environ, "VOICEPLANE_UNIT_SECONDS": str(UNIT_S)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            ids = talking(server, calls)
            if record:
                for call_id in ids:
                    ask(server, "POST", f"/admin/calls/{call_id}/recording", {"reason": "bench"})
            time.sleep(SETTLE_S)
            cores = cores_over(server, window_s)
            told, _ = load.communicate(timeout=TIMEOUT_S)
        finally:
            load.kill()
        found: Json = {"cores": round(cores, 3)}
        if record:
            files = [ask(server, "GET", f"/admin/calls/{call_id}/recording")["recordings"] for call_id in ids]
            found["files"] = sum(map(len, files))
            found["notWhole"] = sum(one["state"] == "recording" for some in files for one in some)
            found["packetsPerCallSecond"] = 100
        return found | {"loadtest": summary(json.loads(told))}


def summary(report: Json) -> Json:
    """The load test's figures, without what it saw every second."""
    return {name: value for name, value in report.items() if name not in ("series", "samples", "system", "seconds")}


def cores_over(server: Server, window_s: float) -> float:
    began, before = time.monotonic(), server.cpu_seconds()
    time.sleep(window_s)
    return (server.cpu_seconds() - before) / (time.monotonic() - began)


def talking(server: Server, calls: int) -> list[str]:
    """The ids of the live calls, once all are there."""
    until = time.monotonic() + TIMEOUT_S / 2
    while time.monotonic() < until:
        listed = ask(server, "GET", "/admin/calls?state=talking&limit=200")["calls"]
        if len(listed) >= calls:
            return [one["callId"] for one in listed]
        time.sleep(0.5)
    raise SystemExit("the calls of the load test did not come")


if __name__ == "__main__":
    sys.exit(main())
