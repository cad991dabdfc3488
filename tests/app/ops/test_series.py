"""An hour in steps of five seconds."""

from __future__ import annotations

from msgspec.structs import replace

from app.ops.series import STEP_S, Series
from schemas.node import MAX_SAMPLES, Sample
from schemas.types import iso

BEGAN_MS = 1769860800000
IDLE = Sample(
    at=iso(BEGAN_MS),
    calls=0,
    talking=0,
    stress=0.0,
    loop_lag_ms=0.0,
    worker_cpu_percent=None,
    node_cpu_percent=0.0,
    packets_in=0.0,
    packets_out=0.0,
    loss_percent=None,
    http_requests=0.0,
    http_p95_ms=None,
    sockets=0,
)


def filled(samples: list[Sample]) -> tuple[Sample, ...]:
    series = Series()
    for second, sample in enumerate(samples):
        series.add(replace(sample, at=iso(BEGAN_MS + 1000 * second)))
    return series.steps


def test_five_seconds_are_a_step_and_fewer_are_none_yet():
    assert filled([IDLE] * (STEP_S - 1)) == ()
    [step] = filled([IDLE] * STEP_S)
    assert step.at == iso(BEGAN_MS + 1000 * (STEP_S - 1))


def test_a_step_has_the_last_count_the_mean_rate_and_the_worst_delay():
    seconds = range(STEP_S)
    [step] = filled(
        [replace(IDLE, calls=n, packets_in=10.0 * n, loop_lag_ms=float(n == 2), stress=n / 10) for n in seconds]
    )
    assert step.calls == STEP_S - 1
    assert step.packets_in == 20.0
    assert step.loop_lag_ms == 1.0
    assert step.stress == 0.2


def test_what_was_not_to_be_measured_is_unknown_and_does_not_count():
    [step] = filled([replace(IDLE, http_p95_ms=7.0), *[IDLE] * (STEP_S - 1)])
    assert (step.http_p95_ms, step.worker_cpu_percent, step.loss_percent) == (7.0, None, None)


def test_what_is_older_than_an_hour_is_forgotten():
    steps = filled([IDLE] * (STEP_S * (MAX_SAMPLES + 2)))
    assert len(steps) == MAX_SAMPLES == 3600 // STEP_S
    assert steps[0].at == iso(BEGAN_MS + 1000 * (3 * STEP_S - 1))
    assert [one.at for one in steps] == sorted(one.at for one in steps)
