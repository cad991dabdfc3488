"""The E-model against points that the ITU and others have published."""

from __future__ import annotations

import pytest

from app.media.emodel import (
    OPUS,
    OPUS_WITH_FEC,
    Codec,
    delay_impairment,
    loss_impairment,
    mos,
    mouth_to_ear_ms,
    r_factor,
)

G711_WITH_PLC = Codec(ie=0, bpl=25.1)  # G.113 Appendix I
G729A = Codec(ie=11, bpl=19)  # G.113 Appendix I


@pytest.mark.parametrize(("r", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)])
def test_scores_are_those_of_the_table_of_user_satisfaction(r, score):
    """G.107 table B.1."""
    assert mos(r) == pytest.approx(score, abs=0.01)


def test_scores_have_their_limits():
    assert mos(93.2) == pytest.approx(4.41, abs=0.005)  # G.107: what the defaults give
    assert (mos(0), mos(3), mos(100), mos(120)) == (1.0, 1.0, 4.5, 4.5)


@pytest.mark.parametrize(
    ("loss_percent", "ie_eff"),
    [(0, 11), (0.5, 13), (1, 15), (1.5, 17), (2, 19), (3, 23), (4, 26), (8, 36), (16, 49)],
)
def test_loss_impairs_as_published_for_g729a(loss_percent, ie_eff):
    """What was measured, to which Bpl was fitted later (G.113 Appendix I)."""
    assert loss_impairment(loss_percent / 100, G729A) == pytest.approx(ie_eff, abs=0.6)


@pytest.mark.parametrize(
    ("delay_ms", "r"), [(0, 93.2), (100, 93.2), (150, 93), (200, 90), (300, 79), (400, 69), (500, 62)]
)
def test_delay_impairs_as_published(delay_ms, r):
    """G.114 (2003) figure 1, as far as a figure can be read."""
    assert r_factor(0, delay_ms) == pytest.approx(r, abs=2)


def test_nothing_wrong_is_the_rating_of_the_defaults():
    assert r_factor(0, mouth_to_ear_ms(0, 0), G711_WITH_PLC) == 93.2


def test_forward_error_correction_bears_more():
    lossy = [r_factor(0.05, 50, codec) for codec in (OPUS, OPUS_WITH_FEC)]
    assert lossy == [pytest.approx(93.2 - 95 * 5 / 15), pytest.approx(93.2 - 95 * 5 / 25)]


def test_more_of_anything_bad_is_never_better():
    worse = [r_factor(percent / 100, 50) for percent in range(101)]
    later = [r_factor(0, delay_ms) for delay_ms in range(0, 2000, 10)]
    for ratings in (worse, later):
        assert ratings == sorted(ratings, reverse=True)
        assert ratings[-1] >= 0
    scores = [mos(r / 10) for r in range(1001)]
    assert min(scores) == 1.0
    assert scores[100:] == sorted(scores[100:])


def test_jitter_and_the_way_add_to_the_delay():
    assert mouth_to_ear_ms(80, 10) == pytest.approx(26.5 + 40 + 20)
    assert delay_impairment(mouth_to_ear_ms(400, 50)) > 10
