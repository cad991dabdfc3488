"""The report of a load test in a few lines, for people. A dash stands for what could not be measured."""

from __future__ import annotations

from collections.abc import Iterator

from voiceplane.loadtest.report import LATE_MS, Json

SPREADS = (("setupMs", "set-up"), ("firstRtpMs", "first RTP"), ("connectedMs", "to call_connected"))

MOVES = (
    ("toldMs", "from a kill to media_moved at both"),
    ("connectedMs", "from a kill to all transports up"),
    ("heardMs", "from a kill to sound at both ends"),
    ("gapMs", "gap in the sound at each party"),
)


def lines(report: Json) -> Iterator[str]:
    """The lines to print. :param report: as `report.report` makes it."""
    for part in (_calls, _times, _moves, _packets, _costs, _charging):
        yield from (line.replace("None", "-") for line in part(report))


def _calls(report: Json) -> Iterator[str]:
    calls = report["calls"]
    ends = ", ".join(f"{number} {reason}" for reason, number in calls["endReasons"].items()) or "none"
    yield (
        f"calls: {calls['opened']} opened, {calls['completed']} completed, {calls['failed']} failed, "
        f"{calls['kills']} workers killed, {calls['wentOn']} went on, {calls['cut']} cut; ends: {ends}"
    )
    yield from (f"  {fault}" for fault in calls["faults"])


def _times(report: Json) -> Iterator[str]:
    for name, what in SPREADS:
        spread = report[name]
        yield f"{what}: p50 {spread['p50']} ms, p95 {spread['p95']} ms, p99 {spread['p99']} ms"
    under_way = report["forwardingMs"]
    yield (
        f"under way through the server: p50 {under_way['p50']} ms, p99 {under_way['p99']} ms, "
        f"{under_way['late']} packets late by more than {LATE_MS:g} ms"
    )
    behind = under_way["generatorBehindP99"]
    if behind > LATE_MS:
        yield f"the generator itself was {behind} ms behind (p99): less was asked of the server than it says here"


def _moves(report: Json) -> Iterator[str]:
    moves = report["moves"]
    if not moves["count"]:
        return
    yield f"moves: {moves['count']} of {moves['calls']} calls, {moves['silent']} without sound again"
    for name, what in MOVES:
        spread = moves[name]
        yield f"{what}: p50 {spread['p50']} ms, p95 {spread['p95']} ms, max {spread['max']} ms"


def _packets(report: Json) -> Iterator[str]:
    packets = report["packets"]
    yield (
        f"packets: {packets['sent']} sent, {packets['received']} received, {packets['lost']} lost "
        f"({packets['lossPercent']} %; {packets['heldLossPercent']} % while all calls were there), "
        f"{packets['lostWithWorkers']} lost with workers, {packets['forged']} forged"
    )
    yield (
        f"dropped by full sockets: {packets['droppedAtServer']} at the server, "
        f"{packets['droppedAtGenerator']} at the generator"
    )


def _costs(report: Json) -> Iterator[str]:
    cpu, memory = report["cpu"], report["memory"]
    yield (
        f"CPU in cores: workers {cpu['workerCores']}, control plane {cpu['controlPlaneCores']}, "
        f"generator {cpu['generatorCores']}, driver {cpu['driverCores']}; "
        f"{cpu['workerMsPerCallSecond']} ms of worker a call-second, which is {cpu['callsPerWorkerCore']} calls a core"
    )
    yield f"memory a call: control plane {memory['planeKibPerCall']} KiB, worker {memory['workerKibPerCall']} KiB"


def _charging(report: Json) -> Iterator[str]:
    billing = report["billing"]
    least, most = billing["billableUnits"]
    yield f"billing: {billing['chargedUnits']} units charged, {least} to {most} billable, {billing['errorUnits']} wrong"
    least, most = billing["provenSeconds"]
    yield f"talked: {billing['talkedSeconds']} s by the server's clock, {least} to {most} s by ours"
    yield from (f"witness: {heard}" for heard in report["witnesses"]["heard"])
