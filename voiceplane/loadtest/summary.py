"""The report of a load test in a few lines, for people. A dash stands for what could not be measured."""

from __future__ import annotations

from collections.abc import Iterator

from voiceplane.loadtest.report import LATE_MS, Report


def lines(report: Report) -> Iterator[str]:
    """The lines to print."""
    for part in (_calls, _times, _moves, _packets, _costs, _charging):
        yield from (line.replace("None", "-") for line in part(report))


def _calls(report: Report) -> Iterator[str]:
    calls = report.calls
    ends = ", ".join(f"{number} {reason}" for reason, number in calls.end_reasons.items()) or "none"
    yield (
        f"calls: {calls.opened} opened, {calls.completed} completed, {calls.failed} failed, "
        f"{calls.kills - calls.nodes_killed} workers and {calls.nodes_killed} nodes killed, "
        f"{calls.went_on} went on, {calls.cut} cut; ends: {ends}"
    )
    yield from (f"  {fault}" for fault in calls.faults)
    if calls.missed:
        yield f"{calls.missed} calls stood still for a while, because this machine kept the generator from sending"


def _times(report: Report) -> Iterator[str]:
    spreads = (
        ("set-up", report.setup_ms),
        ("first RTP", report.first_rtp_ms),
        ("to call_connected", report.connected_ms),
    )
    for what, spread in spreads:
        yield f"{what}: p50 {spread.p50} ms, p95 {spread.p95} ms, p99 {spread.p99} ms"
    under_way = report.forwarding_ms
    yield (
        f"under way through the server: p50 {under_way.p50} ms, p99 {under_way.p99} ms, "
        f"{under_way.late} packets late by more than {LATE_MS:g} ms"
    )
    behind = under_way.generator_behind_p99
    if behind > LATE_MS:
        yield f"the generator itself was {behind} ms behind (p99): less was asked of the server than it says here"


def _moves(report: Report) -> Iterator[str]:
    moves = report.moves
    if not moves.count:
        return
    yield f"moves: {moves.count} of {moves.calls} calls, {moves.silent} without sound again"
    spreads = {
        "from a kill to media_moved at both": moves.told_ms,
        "from a kill to all transports up": moves.connected_ms,
        "from a kill to sound at both ends": moves.heard_ms,
        "gap in the sound at each party": moves.gap_ms,
    }
    for what, spread in spreads.items():
        yield f"{what}: p50 {spread.p50} ms, p95 {spread.p95} ms, max {spread.max} ms"


def _packets(report: Report) -> Iterator[str]:
    packets = report.packets
    yield (
        f"packets: {packets.sent} sent, {packets.received} received, {packets.lost} lost "
        f"({packets.loss_percent} %; {packets.held_loss_percent} % while all calls were there), "
        f"{packets.lost_with_workers} lost with workers, {packets.forged} forged"
    )
    yield (
        f"dropped by full sockets: {packets.dropped_at_server} at the server, "
        f"{packets.dropped_at_generator} at the generator"
    )


def _costs(report: Report) -> Iterator[str]:
    cpu, memory = report.cpu, report.memory
    yield (
        f"CPU in cores: workers {cpu.worker_cores}, nodes' control planes {cpu.control_plane_cores}, "
        f"generator {cpu.generator_cores}, driver {cpu.driver_cores}; "
        f"{cpu.worker_ms_per_call_second} ms of worker a call-second, which is {cpu.calls_per_worker_core} calls a core"
    )
    yield f"memory a call: control plane {memory.plane_kib_per_call} KiB, worker {memory.worker_kib_per_call} KiB"


def _charging(report: Report) -> Iterator[str]:
    billing = report.billing
    least, most = billing.billable_units
    yield f"billing: {billing.charged_units} units charged, {least} to {most} billable, {billing.error_units} wrong"
    least, most = billing.proven_seconds
    yield f"talked: {billing.talked_seconds} s by the server's clock, {least} to {most} s by ours"
    yield from (f"witness: {heard}" for heard in report.witnesses.heard)
