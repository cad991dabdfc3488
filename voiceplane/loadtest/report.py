"""The report of a load test: one JSON object with every figure. `summary.py` words it, `limits.py` judges it."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schemas.base import camel_case
from voiceplane.loadtest import processes
from voiceplane.loadtest.figures import binned_percentile, percentile, rounded
from voiceplane.loadtest.moves import Kill
from voiceplane.loadtest.options import Options
from voiceplane.loadtest.outcome import Outcome
from voiceplane.loadtest.pace import BEHIND_BIN_S
from voiceplane.loadtest.sampler import Reading, Sample
from voiceplane.loadtest.sink import BIN_NS, PacketCounts
from voiceplane.loadtest.witnesses import ReferenceResult

LATE_MS = 20.0  # a whole frame
FAULTS_SHOWN = 5

Json = dict[str, Any]


@dataclass
class Findings:
    """The findings of a run. The hold, in which all calls were there, is between the readings `hold_from` and
    `hold_until`."""

    options: Options
    outcomes: Sequence[Outcome]
    empty: Reading  # before the first call
    hold_from: Reading
    hold_until: Reading
    last: Reading  # after the last call
    samples: Sequence[Sample] = ()
    reference_results: Sequence[ReferenceResult] = ()
    kills: Sequence[Kill] = ()

    @property
    def cut(self) -> list[Outcome]:
        return [one for one in self.outcomes if one.was_cut(self.kills)]

    @property
    def failed(self) -> list[Outcome]:
        return [one for one in self.outcomes if not one.completed and not one.was_cut(self.kills)]


def report(found: Findings) -> Json:
    """Every figure; units are in the names."""
    return {
        "machine": {"cores": os.cpu_count(), "model": processes.cpu_model()},
        "asked": {
            "calls": found.options.calls,
            "rampPerSecond": found.options.ramp,
            "durationSeconds": found.options.duration_s,
        },
        "calls": _calls(found),
        "setupMs": _spread([one.setup_ms for one in found.outcomes]),
        "firstRtpMs": _spread([one.first_rtp_ms for one in found.outcomes]),
        "connectedMs": _spread([one.connected_ms for one in found.outcomes]),
        "moves": _moves(found),
        "packets": _packets(found),
        "forwardingMs": _forwarding(found),
        "cpu": _cpu(found),
        "memory": _memory(found),
        "billing": _billing(found),
        "witnesses": {
            "asked": found.options.witnesses,
            "bad": sum(not one.good for one in found.reference_results),
            "heard": [one.fault or one.heard for one in found.reference_results],
        },
        "samples": [{camel_case(name): value for name, value in asdict(one).items()} for one in found.samples],
    }


def _calls(found: Findings) -> Json:
    return {
        "opened": len(found.outcomes),
        "completed": sum(one.completed for one in found.outcomes),
        "failed": len(found.failed),
        "wentOn": sum(one.went_on for one in found.outcomes),
        "cut": len(found.cut),
        "kills": len(found.kills),
        "endReasons": dict(Counter(one.end_reason or "none" for one in found.outcomes)),
        "faults": [f"{one.call_id}: {one.fault or one.end_reason}" for one in found.failed[:FAULTS_SHOWN]],
    }


def _moves(found: Findings) -> Json:
    """From the kill of a worker; the gaps are of each party, from its last packet to its first."""
    moves = [move for one in found.outcomes for move in one.moves]
    return {
        "count": len(moves),
        "calls": sum(bool(one.moves) for one in found.outcomes),
        "silent": sum(move.heard_at is None for move in moves),
        "toldMs": _spread([move.told_ms for move in moves]),
        "connectedMs": _spread([move.connected_ms for move in moves]),
        "heardMs": _spread([move.heard_ms for move in moves]),
        "gapMs": _spread([gap for move in moves for gap in move.gaps_ms]),
    }


def _packets(found: Findings) -> Json:
    whole = _sum(counts for one in found.outcomes if one.completed for counts in one.packet_counts)
    in_lost_rooms = _sum(counts for one in found.outcomes for counts in one.lost_counts)
    cut = in_lost_rooms + _sum(counts for one in found.cut for counts in one.packet_counts)
    everything = in_lost_rooms + _sum(counts for one in found.outcomes for counts in one.packet_counts)
    return {
        **{name: everything[name] for name in PacketCounts._fields},
        "lost": whole["sent"] - whole["received"],
        "lossPercent": rounded((whole["sent"] - whole["received"]) / whole["sent"] * 100, 4) if whole["sent"] else None,
        "heldLossPercent": _held_loss(found),
        "lostWithWorkers": cut["sent"] - cut["received"],
        "droppedAtServer": found.last.cost.worker_drops - found.empty.cost.worker_drops,
        "droppedAtGenerator": found.last.totals.packets["dropped"],
        "unsent": found.last.totals.packets["refused"],  # the generator's own fault, or a dead worker's port
    }


def _held_loss(found: Findings) -> float | None:
    """Loss in percent while all calls were there: without that of their coming and going."""
    first, last = found.hold_from.totals.packets, found.hold_until.totals.packets
    sent = last["sent"] - first["sent"]
    return rounded(max(0, last["missing"] - first["missing"]) / sent * 100, 4) if sent else None


def _sum(directions: Iterable[PacketCounts]) -> Counter[str]:
    total: Counter[str] = Counter(dict.fromkeys(PacketCounts._fields, 0))
    for counts in directions:
        total.update(counts._asdict())
    return total


def _forwarding(found: Findings) -> Json:
    """Times during the hold: from just before a packet was sent until the kernel had it back."""
    bins = found.hold_until.totals.forwarded - found.hold_from.totals.forwarded
    bin_ms = BIN_NS / 1e6
    found_ms: Json = {}
    for name, percent in (("p50", 50), ("p99", 99), ("max", 100)):
        number = binned_percentile(bins, percent)
        found_ms[name] = None if number is None else rounded((number + 1) * bin_ms)
    late = sum(count for number, count in bins.items() if number * bin_ms >= LATE_MS)
    behind = binned_percentile(found.hold_until.totals.behind - found.hold_from.totals.behind, 99)
    return found_ms | {"late": late, "generatorBehindP99": rounded((behind or 0) * BEHIND_BIN_S * 1000)}


def _cpu(found: Findings) -> Json:
    """CPU during the hold."""
    first, last = found.hold_from, found.hold_until
    seconds = max(last.at - first.at, 1e-9)
    worker_s = last.cost.worker_cpu_s - first.cost.worker_cpu_s
    held = [one for one in found.samples if first.at < found.empty.at + one.at_s <= last.at + 1e-6]
    call_seconds = sum(one.talking for one in held) / len(held) * seconds if held else 0.0
    of_a_call = worker_s / call_seconds if call_seconds and worker_s else None
    return {
        "workerCores": rounded(worker_s / seconds, 3),
        "controlPlaneCores": rounded((last.cost.plane_cpu_s - first.cost.plane_cpu_s) / seconds, 3),
        "generatorCores": rounded((last.generator_cpu_s - first.generator_cpu_s) / seconds, 3),
        "driverCores": rounded((last.driver_cpu_s - first.driver_cpu_s) / seconds, 3),
        "workerMsPerCallSecond": rounded(of_a_call and of_a_call * 1000, 3),
        "callsPerWorkerCore": of_a_call and int(1 / of_a_call),
    }


def _memory(found: Findings) -> Json:
    calls = max(1, found.hold_until.talking)
    plane = max(0, found.hold_until.cost.plane_bytes - found.empty.cost.plane_bytes)
    worker = max(0, found.hold_until.cost.worker_bytes - found.empty.cost.worker_bytes)
    return {
        "planeKibPerCall": rounded(plane / calls / 1024),
        "workerKibPerCall": rounded(worker / calls / 1024),
        "planeBytes": found.hold_until.cost.plane_bytes,
        "workerBytes": found.hold_until.cost.worker_bytes,
    }


def _billing(found: Findings) -> Json:
    unit_s = found.options.unit_s
    billable = [one.billable_units(unit_s) for one in found.outcomes]
    talked = [one.talked_s() for one in found.outcomes]
    return {
        "unitSeconds": unit_s,
        "chargedUnits": sum(one.units_charged for one in found.outcomes),
        "billableUnits": [sum(least for least, _ in billable), sum(most for _, most in billable)],
        "talkedSeconds": sum(one.duration_s or 0 for one in found.outcomes),
        "provenSeconds": [int(sum(least for least, _ in talked)), math.ceil(sum(most for _, most in talked))],
        "errorUnits": sum(one.units_wrong(unit_s) for one in found.outcomes) if found.options.price else 0,
    }


def _spread(values: Sequence[float | None]) -> Json:
    known = [value for value in values if value is not None]
    wanted = (("p50", 50), ("p95", 95), ("p99", 99), ("max", 100))
    return {name: rounded(percentile(known, percent)) for name, percent in wanted}
