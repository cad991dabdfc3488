"""What a load test found, and the report that it comes to. Knows no words: `summary.py` has them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voiceplane.loadtest import processes
from voiceplane.loadtest.figures import binned_percentile, percentile, rounded
from voiceplane.loadtest.moves import Kill
from voiceplane.loadtest.options import Options
from voiceplane.loadtest.outcome import Outcome
from voiceplane.loadtest.pace import BEHIND_BIN_S
from voiceplane.loadtest.report import (
    LATE_MS,
    Asked,
    Billing,
    Calls,
    Cpu,
    Forwarding,
    Machine,
    Memory,
    Moves,
    Packets,
    Report,
    Spread,
    Witnesses,
)
from voiceplane.loadtest.sampler import Reading, Sample
from voiceplane.loadtest.sink import BIN_NS, PacketCounts
from voiceplane.loadtest.witnesses import ReferenceResult

FAULTS_SHOWN = 5


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


def report_of(found: Findings) -> Report:
    """Every figure; nothing is judged yet."""
    return Report(
        machine=Machine(cores=os.cpu_count(), model=processes.cpu_model()),
        asked=Asked(
            calls=found.options.calls,
            ramp_per_second=found.options.ramp,
            duration_seconds=found.options.duration_s,
            frame_ms=found.options.frame_ms,
        ),
        calls=_calls(found),
        setup_ms=_spread([one.setup_ms for one in found.outcomes]),
        first_rtp_ms=_spread([one.first_rtp_ms for one in found.outcomes]),
        connected_ms=_spread([one.connected_ms for one in found.outcomes]),
        moves=_moves(found),
        packets=_packets(found),
        forwarding_ms=_forwarding(found),
        cpu=_cpu(found),
        memory=_memory(found),
        billing=_billing(found),
        witnesses=Witnesses(
            asked=found.options.witnesses,
            bad=sum(not one.good for one in found.reference_results),
            heard=[one.fault or one.heard for one in found.reference_results],
        ),
        samples=found.samples,
    )


def _calls(found: Findings) -> Calls:
    return Calls(
        opened=len(found.outcomes),
        completed=sum(one.completed for one in found.outcomes),
        failed=len(found.failed),
        went_on=sum(one.went_on for one in found.outcomes),
        cut=len(found.cut),
        missed=sum(one.silent_s > 0 for one in found.outcomes),
        kills=len(found.kills),
        nodes_killed=sum(one.of == "node" for one in found.kills),
        end_reasons=dict(Counter(one.end_reason or "none" for one in found.outcomes)),
        faults=[f"{one.call_id}: {one.fault or one.end_reason}" for one in found.failed[:FAULTS_SHOWN]],
    )


def _moves(found: Findings) -> Moves:
    moves = [move for one in found.outcomes for move in one.moves]
    return Moves(
        count=len(moves),
        calls=sum(bool(one.moves) for one in found.outcomes),
        silent=sum(move.heard_at is None for move in moves),
        told_ms=_spread([move.told_ms for move in moves]),
        connected_ms=_spread([move.connected_ms for move in moves]),
        heard_ms=_spread([move.heard_ms for move in moves]),
        gap_ms=_spread([gap for move in moves for gap in move.gaps_ms]),
    )


def _packets(found: Findings) -> Packets:
    whole = _sum(counts for one in found.outcomes if one.completed for counts in one.packet_counts)
    in_lost_rooms = _sum(counts for one in found.outcomes for counts in one.lost_counts)
    cut = in_lost_rooms + _sum(counts for one in found.cut for counts in one.packet_counts)
    everything = in_lost_rooms + _sum(counts for one in found.outcomes for counts in one.packet_counts)
    return Packets(
        **{name: everything[name] for name in PacketCounts._fields},
        lost=whole["sent"] - whole["received"],
        loss_percent=rounded((whole["sent"] - whole["received"]) / whole["sent"] * 100, 4) if whole["sent"] else None,
        held_loss_percent=_held_loss(found),
        lost_with_workers=cut["sent"] - cut["received"],
        dropped_at_server=found.last.cost.worker_drops - found.empty.cost.worker_drops,
        dropped_at_generator=found.last.totals.packets["dropped"],
        unsent=found.last.totals.packets["refused"],
    )


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


def _forwarding(found: Findings) -> Forwarding:
    bins = found.hold_until.totals.forwarded - found.hold_from.totals.forwarded
    bin_ms = BIN_NS / 1e6

    def took(percent: float) -> float | None:
        number = binned_percentile(bins, percent)
        return None if number is None else rounded((number + 1) * bin_ms)

    behind = binned_percentile(found.hold_until.totals.behind - found.hold_from.totals.behind, 99)
    return Forwarding(
        p50=took(50),
        p99=took(99),
        max=took(100),
        late=sum(count for number, count in bins.items() if number * bin_ms >= LATE_MS),
        generator_behind_p99=round((behind or 0) * BEHIND_BIN_S * 1000, 1),
    )


def _cpu(found: Findings) -> Cpu:
    first, last = found.hold_from, found.hold_until
    seconds = max(last.at - first.at, 1e-9)
    worker_s = last.cost.worker_cpu_s - first.cost.worker_cpu_s
    held = [one for one in found.samples if first.at < found.empty.at + one.at_s <= last.at + 1e-6]
    call_seconds = sum(one.talking for one in held) / len(held) * seconds if held else 0.0
    of_a_call = worker_s / call_seconds if call_seconds and worker_s else None
    return Cpu(
        worker_cores=round(worker_s / seconds, 3),
        control_plane_cores=round((last.cost.plane_cpu_s - first.cost.plane_cpu_s) / seconds, 3),
        generator_cores=round((last.generator_cpu_s - first.generator_cpu_s) / seconds, 3),
        driver_cores=round((last.driver_cpu_s - first.driver_cpu_s) / seconds, 3),
        worker_ms_per_call_second=rounded(of_a_call and of_a_call * 1000, 3),
        calls_per_worker_core=None if of_a_call is None else int(1 / of_a_call),
    )


def _memory(found: Findings) -> Memory:
    calls = max(1, found.hold_until.talking)
    plane = max(0, found.hold_until.cost.plane_bytes - found.empty.cost.plane_bytes)
    worker = max(0, found.hold_until.cost.worker_bytes - found.empty.cost.worker_bytes)
    return Memory(
        plane_kib_per_call=round(plane / calls / 1024, 1),
        worker_kib_per_call=round(worker / calls / 1024, 1),
        plane_bytes=found.hold_until.cost.plane_bytes,
        worker_bytes=found.hold_until.cost.worker_bytes,
    )


def _billing(found: Findings) -> Billing:
    unit_s = found.options.unit_s
    billable = [one.billable_units(unit_s) for one in found.outcomes]
    talked = [one.talked_s() for one in found.outcomes]
    return Billing(
        unit_seconds=unit_s,
        charged_units=sum(one.units_charged for one in found.outcomes),
        billable_units=(sum(least for least, _ in billable), sum(most for _, most in billable)),
        talked_seconds=sum(one.duration_s or 0 for one in found.outcomes),
        proven_seconds=(int(sum(least for least, _ in talked)), math.ceil(sum(most for _, most in talked))),
        error_units=sum(one.units_wrong(unit_s) for one in found.outcomes) if found.options.price else 0,
    )


def _spread(values: Sequence[float | None]) -> Spread:
    known = [value for value in values if value is not None]
    return Spread(*(rounded(percentile(known, percent)) for percent in (50, 95, 99, 100)))
