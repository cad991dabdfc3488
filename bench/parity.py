"""The bridge against mediasoup's own Node library, over the same worker binary, as JSON.

``python -m bench.parity --node FOLDER``, where ``npm install --ignore-scripts mediasoup@3.27.1`` was run in FOLDER. The
same loops run in both, in turns within seconds, so that whatever else the machine does is done to both. ``ratio`` is
Node's time divided by ours, the median of the pairs: above 1 the bridge is faster; ``bestRatio`` is that of the best
runs, for a machine that is busy with other things, too. Operations are measured with 64 in flight, and strictly one
after another; packets and messages on a direct transport in, out (each to ten consumers), and both at once. ``cpuUs``
is the CPU time of the controlling process for one of them, in microseconds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench.__main__ import SKIPPED
from worker_bridge import native

IN_FLIGHT = 64
ROUNDS = 5
OPERATIONS = 2_000  # with many in flight; a quarter of it one after another
FLOW = 40_000  # packets or messages
LOOPS = (
    "worker_dump", "create_router", "create_webrtc_transport", "create_plain_transport", "create_pipe_transport",
    "create_direct_transport", "create_producer", "create_consumer", "create_data_producer", "create_data_consumer",
    "create_audio_level_observer", "create_active_speaker_observer", "produce", "consume", "producer_get_stats",
    "transport_get_stats", "pause_and_resume",
)  # fmt: skip
FLOWS = ("rtp_in", "rtp_out", "rtp_both", "data_in", "data_out", "data_both")
NODE_LOOPS = Path(__file__).with_name("node") / "parity_loops.mjs"

Json = dict[str, Any]
Pair = tuple[Json, Json]


class Side:
    """One library, in a process of its own with a worker of its own."""

    def __init__(self, command: list[str], binary: str) -> None:
        environment = {**os.environ, "MEDIASOUP_WORKER_BIN": binary}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(self, loop: str, number: int, in_flight: int) -> Json:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"loop": loop, "number": number, "inFlight": in_flight}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended in {loop}")
        answer: Json = json.loads(line)
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=10)


def main() -> int:
    """Print the report."""
    options = parsed()
    if options.node is None:
        sys.stderr.write("bench.parity needs --node FOLDER (or MEDIASOUP_NODE), with mediasoup's npm package in it\n")
        return SKIPPED
    binary = str(native.locate(os.environ.get("VOICEPLANE_WORKER_BIN")).binary)
    serve = f"from bench.parity_loops import serve; serve({os.environ.get('VOICEPLANE_WORKER_BIN')!r})"
    with ExitStack() as stack:
        ours = Side([sys.executable, "-c", serve], binary)
        stack.callback(ours.close)
        theirs = Side(["node", str(NODE_LOOPS), str(Path(options.node).resolve())], binary)
        stack.callback(theirs.close)
        wanted = options.loops.split(",") if options.loops else [*LOOPS, *FLOWS]
        pairs = paired([one for loop in wanted for one in cases(loop)], ours, theirs, options.rounds)
    loops: Json = {}
    for case, measured in pairs.items():
        loops.setdefault(case.loop, {})[case.manner] = compared(case.number, measured)
    sys.stdout.write(json.dumps({"bench": "parity", "rounds": options.rounds, "loops": loops}) + "\n")
    return 0


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", default=os.environ.get("MEDIASOUP_NODE"), metavar="FOLDER")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--loops", metavar="NAME,NAME", help=f"of {', '.join([*LOOPS, *FLOWS])}")
    return parser.parse_args()


class Case(NamedTuple):
    """A loop, and how it is run."""

    loop: str
    manner: str
    number: int
    in_flight: int


def cases(loop: str) -> list[Case]:
    if loop in FLOWS:
        return [Case(loop, "flow", FLOW, 1)]
    return [Case(loop, "inFlight64", OPERATIONS, IN_FLIGHT), Case(loop, "sequential", OPERATIONS // 4, 1)]


def paired(wanted: list[Case], ours: Side, theirs: Side, rounds: int) -> dict[Case, list[Pair]]:
    """Pairs of one run each, ours and Node's, after one pair that warms up; whoever was first is second next time.

    Each round goes through all cases, so that a bad moment of the machine meets a case but once.
    """
    pairs: dict[Case, list[Pair]] = {case: [] for case in wanted}
    for turn in range(rounds + 1):
        for case in wanted:
            asked = case.loop, case.number, case.in_flight
            if turn % 2:
                mine, other = ours.run(*asked), theirs.run(*asked)
            else:
                other, mine = theirs.run(*asked), ours.run(*asked)
            if turn:
                pairs[case].append((mine, other))
    return pairs


def compared(number: int, pairs: list[Pair]) -> Json:
    seconds = statistics.median(mine["seconds"] for mine, _ in pairs)
    best, other_best = min(mine["seconds"] for mine, _ in pairs), min(other["seconds"] for _, other in pairs)
    return {
        "ratio": round(statistics.median(other["seconds"] / mine["seconds"] for mine, other in pairs), 2),
        "bestRatio": round(other_best / best, 2),
        "perSecond": round(number / seconds),
        "nodePerSecond": round(number / statistics.median(other["seconds"] for _, other in pairs)),
        "cpuUs": round(statistics.median(mine["cpuSeconds"] for mine, _ in pairs) / number * 1e6, 1),
        "nodeCpuUs": round(statistics.median(other["cpuSeconds"] for _, other in pairs) / number * 1e6, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
