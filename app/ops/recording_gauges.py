"""Prometheus' gauges of recordings."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.ops.metrics import PREFIX
from app.recording.recording import Recording


class RecordingGauges(Collector):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def collect(self) -> Iterable[Metric]:
        recordings, uploads, writer = self._recording.recordings, self._recording.uploads, self._recording.writer
        yield GaugeMetricFamily(f"{PREFIX}_calls_recorded", "Calls that are recorded now.", value=len(recordings))
        waiting = "Recordings that could not be stored yet."
        yield GaugeMetricFamily(f"{PREFIX}_recordings_waiting", waiting, value=uploads.waiting)
        refused = "Calls that were not recorded, because as many were as may be."
        yield CounterMetricFamily(f"{PREFIX}_recordings_refused", refused, value=recordings.refused)
        failed = CounterMetricFamily(
            f"{PREFIX}_recording_failures", "What went wrong with recordings.", labels=["what"]
        )
        failed.add_metric(["write"], writer.failures)
        failed.add_metric(["store"], uploads.failures)
        yield failed
