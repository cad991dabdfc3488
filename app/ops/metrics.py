"""Prometheus' counters and histograms, filled by hooks whose owners know nothing of Prometheus.

Names and units are Prometheus' own: base units, ``_total`` for what only rises. A label takes its values from our own
tables (routes, commands, reasons, methods of the worker), never from what a client sends. What is read at the
moment of asking, such as how many calls there are, is in ``gauges.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector
from prometheus_client import disable_created_metrics as without_times_of_creation

from app.announcing.announcing import Announcing
from app.calls.call import EndReason, LiveCall
from app.calls.continuity import Continuity
from app.calls.flags import Flag
from app.calls.journal import Journal
from app.calls.lifecycle import Lifecycle
from app.clock import now
from app.ledger import Ledger
from app.ledger.values import Charged
from app.media.quality import Quality
from app.ops.lag import LoopLag
from app.ops.node_registry import NodeRegistry
from app.ops.tally import Tally
from app.signaling.dispatch import Dispatcher
from app.signaling.hub import Hub
from app.streaming.orders import Report
from app.streaming.process import DecodingProcess
from app.watch.watch import Watch
from app.webhooks.deliverer import WHY_DISABLED, Deliverer, Result
from schemas.call import CallState, InterruptionReason, MoveReason
from schemas.quality import FlagType
from worker_bridge.channel import Note
from worker_bridge.pool import Pool, Slot

PREFIX = "voiceplane"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UPGRADED = 101  # a WebSocket's request lasts as long as the socket: that is no latency

OPERATIONS = {"_answer": "ping"}  # names for methods of the ledger that have none of their own

HEARD = {True: "heard", False: "unheard"}

# Seconds, about three a decade: from where a healthy node is to where users have given up.
FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
REQUEST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
SET_UP = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0)
JITTER = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2)
ROUND_TRIP = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0)
MOS = (1.5, 2.0, 2.5, 3.1, 3.6, 4.0, 4.3, 4.5)  # G.107 table B.1: below 3.6 many are dissatisfied
TALK = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0)


class Metrics:
    """One application's counters, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._http = self._tally(
            "http_request", "HTTP requests answered.", "From header to answer.", ("method", "route", "code"), REQUEST
        )
        self._commands = self._tally(
            "websocket_command", "WebSocket messages answered.", "From message to answer.", ("command", "code"), REQUEST
        )
        self._bridge = self._tally(
            "bridge_request", "Answers of native workers.", "From request to answer.", ("method", "outcome"), FAST
        )
        self._events = self._counter("websocket_events", "Events handed to sockets, once per socket.", "type")
        self._ended = self._counter("calls_ended", "Calls that ended and are stored.", reason=EndReason)
        waits = "Times that a connected call had to wait for a party, or for a room."
        self._interruptions = self._counter("call_interruptions", waits, reason=get_args(InterruptionReason))
        moves = "Times that a call got another room."
        self._media_moves = self._counter("media_moves", moves, reason=get_args(MoveReason))
        until_set_up = "From a call's making, ringing included, to its first transport."
        self._set_up_seconds = self._histogram("call_setup_seconds", until_set_up, SET_UP)
        until_rtp = "From both having agreed to the first RTP packet."
        self._first_rtp_seconds = self._histogram("call_first_rtp_seconds", until_rtp, SET_UP)
        talk = "For how long both parties of a call were there."
        self._talk_seconds = self._histogram("call_talk_seconds", talk, TALK)
        self._units = self._counter("billed_units", "Units charged.")
        self._points = self._counter("billed_points", "Points debited for units.")
        writes = "From asking the ledger to the disk's answer."
        self._writes = self._histogram("ledger_write_duration_seconds", writes, FAST, "operation")
        fails = "Writes that the database could not take."
        self._failed_writes = self._counter("ledger_write_failures", fails, "operation")
        self._sweep_seconds = self._histogram("sweep_duration_seconds", "One look at all talking calls.", FAST)
        self._flags = self._counter("call_flags", "Times that a live call was found ailing.", type=FlagType)
        self._expected = self._counter("rtp_packets_expected", "Packets that listeners should have got.")
        self._lost = self._counter("rtp_packets_lost", "Packets that listeners missed.")
        self._jitter_seconds = self._histogram("rtp_jitter_seconds", "Of each direction, every few seconds.", JITTER)
        there_and_back = "From party to party and back, every few seconds."
        self._round_trip_seconds = self._histogram("rtp_round_trip_seconds", there_and_back, ROUND_TRIP)
        self._mos = self._histogram("call_mos", "What each party hears, by the E-model, every few seconds.", MOS)
        self._attempts = self._counter("webhook_attempts", "Attempts at deliveries to webhooks, by result.", "result")
        for result in get_args(Result):
            self._attempts.labels(result)
        self._attempt_seconds = self._histogram(
            "webhook_attempt_duration_seconds", "From the beginning of an attempt to its answer.", REQUEST
        )
        self._disabled = self._counter("webhooks_disabled", "Webhooks that were disabled by what they did.", "reason")
        for reason in WHY_DISABLED:
            self._disabled.labels(reason)
        played = "Announcements of a leg that are over, by whether their party received them to the end."
        self._announcements = self._counter("announcements", played, result=HEARD.values())
        beats = "How late the packets of announcements and music were sent, once a beat of 20 ms."
        self._late_seconds = self._histogram("announcement_late_seconds", beats, FAST)
        streamed = "Frames of 20 ms of audio streams: sent, or dropped because the receiver was too slow or away."
        self._stream_frames = self._counter("audio_stream_frames", streamed, result=("sent", "dropped"))
        tried = "Connections of audio streams: opened, or failed, which is not made or broken."
        self._stream_connections = self._counter("audio_stream_connections", tried, result=("opened", "failed"))
        self._streams_connected = self._gauge("audio_streams_connected", "Legs whose audio stream is connected.")
        dropped = "Packets that the node dropped because the process that streams them was behind or away."
        self._stream_packets_dropped = self._gauge("audio_stream_packets_dropped", dropped)
        self._lag_seconds = self._histogram("event_loop_lag_seconds", "How late a timer is, four times a second.", FAST)

    @classmethod
    def made(cls, node: str | None = None) -> Metrics:
        """With prometheus-client's numbers of the process beside ours. ``node`` is its name, where it is one of several
        nodes: then every sample has it as a label."""
        without_times_of_creation()  # type: ignore[no-untyped-call]
        registry = CollectorRegistry() if node is None else NodeRegistry(node)
        ProcessCollector(registry=registry)
        GCCollector(registry=registry)
        return cls(registry)

    def watch_calls(self, lifecycle: Lifecycle, continuity: Continuity, journal: Journal, watch: Watch) -> None:
        lifecycle.on_move(self.call_moved)
        continuity.on_media_moved(self.media_moved)
        journal.on_charge(self.unit_charged)
        watch.on_sweep(self._sweep_seconds.observe)
        watch.on_quality(self.quality_seen)
        watch.on_flag(self.flag_raised)

    def watch_announcing(self, announcing: Announcing) -> None:
        announcing.announcer.on_played(lambda heard: self._announcements.labels(HEARD[heard]).inc())
        announcing.pacer.on_beat(self._late_seconds.observe)

    def watch_streams(self, process: DecodingProcess) -> None:
        process.on_report(self.streamed)
        self._stream_packets_dropped.set_function(lambda: process.packets_dropped)

    def streamed(self, report: Report) -> None:
        self._streams_connected.set(report.connected)
        self._stream_frames.labels("sent").inc(report.sent)
        self._stream_frames.labels("dropped").inc(report.dropped)
        self._stream_connections.labels("opened").inc(report.opened)
        self._stream_connections.labels("failed").inc(report.failed)

    def watch_loop(self, lag: LoopLag) -> None:
        lag.on_measured(self._lag_seconds.observe)

    def watch_sockets(self, hub: Hub, dispatcher: Dispatcher) -> None:
        hub.on_publish(self.event_sent)
        dispatcher.observe(self.command_answered)

    def watch_ledger(self, ledger: Ledger) -> None:
        ledger.observe_writes(self.written)

    def watch_webhooks(self, deliverer: Deliverer) -> None:
        deliverer.on_attempt(self.attempt_made)
        deliverer.on_disabled(lambda reason: self._disabled.labels(reason).inc())

    def watch_workers(self, pool: Pool) -> None:
        pool.on_worker_up(self._watch_worker)

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer. Unknown methods and routes, which clients can make up, share one label."""
        labels = (method if method in METHODS else "other", route or "unmatched", status)
        times = self._http.known.get(labels) or self._http.of(*labels)
        if status == UPGRADED:
            times.untimed += 1
        else:
            times.note(seconds)

    def command_answered(self, command: str, code: str, seconds: float) -> None:
        self._commands.of(command or "other", code).note(seconds)

    def event_sent(self, event_type: str, sockets: int) -> None:
        self._events.labels(event_type).inc(sockets)

    def call_moved(self, call: LiveCall) -> None:
        match call.state:
            case CallState.CONNECTING:
                self._set_up_seconds.observe(now().monotonic - call.created_at.monotonic)
            case CallState.TALKING if call.connected_at is not None and call.matched_at is not None:
                if call.clock.since == call.connected_at:  # for the first time
                    self._first_rtp_seconds.observe(call.connected_at.monotonic - call.matched_at.monotonic)
            case CallState.INTERRUPTED if call.interruption is not None:
                self._interruptions.labels(call.interruption.reason).inc()
            case CallState.ENDED if call.ended_at is not None:
                self._ended.labels(call.end_reason).inc()
                if call.connected_at is not None:
                    self._talk_seconds.observe(call.clock.talked_at(call.ended_at.monotonic))

    def media_moved(self, reason: MoveReason) -> None:
        self._media_moves.labels(reason).inc()

    def quality_seen(self, quality: Quality) -> None:
        self._expected.inc(quality.expected)
        self._lost.inc(quality.lost)
        self._jitter_seconds.observe(quality.jitter_ms / 1000)
        if quality.round_trip_ms is not None:
            self._round_trip_seconds.observe(quality.round_trip_ms / 1000)
        self._mos.observe(quality.mos)

    def flag_raised(self, _: LiveCall, flag: Flag) -> None:
        self._flags.labels(flag.type).inc()

    def unit_charged(self, charged: Charged) -> None:
        self._units.inc(len(charged.units))
        self._points.inc(charged.points)

    def written(self, work: str, seconds: float, taken: bool) -> None:
        operation = OPERATIONS.get(work, work)
        self._writes.labels(operation).observe(seconds)
        if not taken:
            self._failed_writes.labels(operation).inc()

    def attempt_made(self, result: Result, seconds: float) -> None:
        self._attempts.labels(result).inc()
        self._attempt_seconds.observe(seconds)

    def worker_times(self, method: str, outcome: str) -> Note:
        return self._bridge.of(method.lower(), outcome).note

    def _watch_worker(self, slot: Slot) -> None:
        if slot.worker is not None:
            slot.worker.channel.observe(self.worker_times)

    def _tally(self, name: str, counts: str, times: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> Tally:
        """``counts`` and ``times`` say what the counter and the histogram are of."""
        counter, histogram = f"{PREFIX}_{name}s", f"{PREFIX}_{name}_duration_seconds"
        tally = Tally(counter, counts, histogram, times, labels, bounds)
        self.registry.register(tally)
        return tally

    def _counter(self, name: str, means: str, *labels: str, **known: Iterable[str]) -> Counter:
        """By the labels, or by one whose values are known: these begin at 0, so that a rate sees the step to 1."""
        counter = Counter(f"{PREFIX}_{name}", means, (*labels, *known), registry=self.registry)
        for value in itertools.chain.from_iterable(known.values()):
            counter.labels(value)
        return counter

    def _gauge(self, name: str, means: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", means, registry=self.registry)

    def _histogram(self, name: str, means: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{PREFIX}_{name}", means, labels, registry=self.registry, buckets=buckets)
