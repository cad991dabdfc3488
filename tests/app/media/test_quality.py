"""What the numbers of two networks add up to. Real statistics come in `tests/integration/test_call_quality.py`."""

from __future__ import annotations

import pytest

from app.media.emodel import OPUS
from app.media.quality import FIRST_MEASURED, MEASURED_EVERY, CallQuality, Direction, Quality, losses
from app.media.stats import StreamStats, stream_stats_of


def heard(
    packets: int, lost: int, *, jitter_ms: float = 0.0, round_trip_ms: float | None = 40.0
) -> dict[str, StreamStats]:
    return {"consumer": StreamStats(packets, lost, jitter_ms, round_trip_ms)}


def unreported(packets: int) -> dict[str, StreamStats]:
    return heard(packets, 0, round_trip_ms=None)


def sent(packets: int, lost: int = 0, *, jitter_ms: float = 0.0, name: str = "producer") -> dict[str, StreamStats]:
    return {name: StreamStats(packets, lost, jitter_ms, None)}


@pytest.fixture
def direction():
    return Direction("user", "otomo")


def test_a_listener_reports_the_first_networks_losses_as_well(direction):
    direction.measure(sent(90, 10), heard(90, 10), 80.0, OPUS)
    assert direction.latest == Quality(100, 10, 0.0, 80.0)
    assert direction.latest.loss == pytest.approx(0.1)


def test_before_the_first_report_what_the_worker_misses_counts(direction):
    direction.measure(sent(90, 10, jitter_ms=7.0), heard(90, 0, jitter_ms=99.0, round_trip_ms=None), None, OPUS)
    assert direction.latest == Quality(100, 10, 7.0, None)


def test_each_look_is_about_the_time_since_the_last(direction):
    direction.measure(sent(90, 10), heard(90, 10), 80.0, OPUS)
    direction.measure(sent(190, 10), heard(190, 15), 80.0, OPUS)
    assert (direction.latest.expected, direction.latest.lost) == (100, 5)
    assert (direction.whole.expected, direction.whole.lost) == (200, 15)


def test_a_packet_that_was_only_late_is_no_loss_in_the_end(direction):
    direction.measure(sent(90, 10), unreported(90), None, OPUS)
    direction.measure(sent(200, 0), unreported(200), None, OPUS)
    assert direction.latest.lost == 0
    assert (direction.whole.expected, direction.whole.lost) == (200, 0)


def test_a_new_producer_goes_on_where_the_old_one_stopped(direction):
    direction.measure(sent(90, 10), unreported(90), None, OPUS)
    direction.measure(sent(50, 0, name="another"), unreported(140), None, OPUS)
    assert (direction.latest.expected, direction.latest.lost) == (50, 0)
    assert (direction.whole.expected, direction.whole.lost) == (150, 10)


def test_who_is_muted_has_no_quality_and_keeps_the_calls(direction):
    direction.measure(sent(90, 10), heard(90, 10), 80.0, OPUS)
    direction.measure(sent(90, 10), heard(90, 10), 80.0, OPUS)
    assert direction.latest is None
    assert direction.whole == Quality(100, 10, 0.0, 80.0)


def test_the_whole_call_has_the_mean_of_its_delays(direction):
    for times_measured, (jitter_ms, way_ms) in enumerate(((10.0, 100.0), (20.0, None), (30.0, 300.0)), start=1):
        direction.measure(sent(100 * times_measured), heard(100 * times_measured, 0, jitter_ms=jitter_ms), way_ms, OPUS)
    assert (direction.whole.jitter_ms, direction.whole.round_trip_ms) == (20.0, 200.0)


def test_what_nobody_listened_to_was_not_good(direction):
    direction.measure(sent(100), {}, None, OPUS)
    assert (direction.latest, direction.whole) == (None, None)
    direction.measure(sent(200), heard(100, 0), 80.0, OPUS)
    assert direction.whole == Quality(100, 0, 0.0, 80.0), "what came before is no part of it"
    direction.measure(sent(300, 50), heard(100, 0), 80.0, OPUS)
    assert direction.latest is None, "the consumer is paused"
    assert direction.whole == Quality(100, 0, 0.0, 80.0)


def test_nothing_measured_is_no_quality(direction):
    assert direction.whole is None
    direction.measure({}, {}, None, OPUS)
    assert (direction.latest, direction.whole) == (None, None)


@pytest.mark.parametrize(
    ("counted", "expected"),
    [((0, 0, 0), (0, 0)), ((100, -3, 0), (100, 0)), ((10, 0, 50), (10, 10)), ((0, 5, 0), (5, 5))],
)
def test_no_count_makes_a_loss_of_less_than_none_or_more_than_all(counted, expected):
    assert losses(*counted) == expected


def test_what_is_worse_sounds_worse():
    good, lossy, late = (Quality(1000, lost, 2.0, way_ms) for lost, way_ms in ((0, 20.0), (100, 20.0), (0, 900.0)))
    assert good.mos > 4.3
    assert lossy.mos < 3.0
    assert late.mos < 3.6


def test_a_young_call_is_looked_at_soon_and_then_at_intervals():
    quality = CallQuality()
    due = [sweep for sweep in range(1, 20) if quality.is_due()]
    assert due == [FIRST_MEASURED + MEASURED_EVERY * times for times in range(4)]


def test_video_is_not_read():
    base = {"kind": "VIDEO", "packets_lost": 1, "jitter": 48, "round_trip_time": 0.0}
    stats = {"packet_count": 5, "base": {"data": base}}
    answer = {"stats": [{"data_type": "RecvStats", "data": stats}]}
    assert stream_stats_of(answer, "RecvStats") is None
    base["kind"] = "AUDIO"
    assert stream_stats_of(answer, "RecvStats") == StreamStats(5, 1, 1.0, None)
    assert stream_stats_of(answer, "SendStats") is None
