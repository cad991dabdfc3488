"""The node's workers for admins: what each holds, what it costs, and how well it answers."""

from __future__ import annotations

import time

from app.ops.forwarding_probe import ForwardingProbe
from app.ops.sampler import Sampler
from app.ops.vitals import Vitals, cpu_seconds, resident_bytes
from schemas.node import PacketRates, RequestTimes, WorkerLine, Workers, WorkerState
from worker_bridge.pool import Pool, Slot


def seen(node: str, pool: Pool, sampler: Sampler, forwarding: ForwardingProbe) -> Workers:
    """The state of every worker of this node, up or not."""
    lines = [line(node, slot, pool.native.version, sampler.vitals_in(slot), forwarding) for slot in pool.slots]
    return Workers(round(sampler.stress.value, 3), tuple(lines))


def line(node: str, slot: Slot, version: str, vitals: Vitals | None, forwarding: ForwardingProbe) -> WorkerLine:
    outcome = forwarding.outcome(slot)
    probe = outcome.result() if outcome else None
    common = (slot.index, state(slot), version, slot.restarts, slot.failure, node, probe)
    if vitals is None:
        return WorkerLine(*common)
    worker, objects, times = vitals.worker, vitals.worker.count_objects(), vitals.request_times
    return WorkerLine(
        *common,
        pid=worker.pid,
        uptime_seconds=int(time.monotonic() - worker.started_at),
        cpu_percent=round(vitals.cpu_percent, 1),
        cpu_seconds=round(cpu_seconds(worker), 3),
        memory_bytes=resident_bytes(worker),
        routers=objects["router"],
        transports=objects["transport"],
        producers=objects["producer"],
        consumers=objects["consumer"],
        stress=round(vitals.stress.value, 3),
        packets_per_second=PacketRates(round(vitals.packets_in, 1), round(vitals.packets_out, 1)),
        requests=RequestTimes(worker.channel.pending, times.quantile_ms(0.5), times.quantile_ms(0.99)),
    )


def state(slot: Slot) -> WorkerState:
    if slot.worker is not None:
        return "up"
    return "gave_up" if slot.gave_up else "starting"
