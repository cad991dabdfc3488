"""What is noted cheaply is told as prometheus-client itself would tell it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from app.ops.tally import Tally

BOUNDS = (0.0078125, 0.125, 1.0)
SECONDS = (0.00390625, 0.0078125, 0.015625, 0.5, 1.0, 7.25)  # their sums are exact in whatever order


def test_a_tally_reads_like_a_counter_and_a_histogram_of_the_library() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tally = Tally("asked", "Questions.", "answer_seconds", "Until the answer.", ("method", "code"), BOUNDS)
    ours.register(tally)
    counter = Counter("asked", "Questions.", ("method", "code"), registry=theirs)
    histogram = Histogram("answer_seconds", "Until the answer.", ("method",), registry=theirs, buckets=BOUNDS)
    for method, code in (("GET", 200), ("GET", 404), ("PUT", 200)):
        for seconds in SECONDS:
            tally.of(method, code).note(seconds)
            counter.labels(method, str(code)).inc()
            histogram.labels(method).observe(seconds)
    assert lines(ours) == lines(theirs)


def test_what_has_no_duration_is_counted_alone() -> None:
    registry = CollectorRegistry()
    tally = Tally("asked", "Questions.", "answer_seconds", "Until the answer.", ("method", "code"), BOUNDS)
    registry.register(tally)
    tally.of("GET", 101).untimed += 1
    assert registry.get_sample_value("asked_total", {"method": "GET", "code": "101"}) == 1
    assert registry.get_sample_value("answer_seconds_count", {"method": "GET"}) == 0


def lines(registry: CollectorRegistry) -> set[str]:
    return {line for line in generate_latest(registry).decode().splitlines() if "_created" not in line}
