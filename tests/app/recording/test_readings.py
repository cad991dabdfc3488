"""Who reads from part to part is one reader."""

from __future__ import annotations

from app.clock import Moment
from app.recording import readings as readings_module
from app.recording.readings import GOES_ON_S, Readings


def test_parts_that_follow_go_on_and_each_beginning_is_a_reading_of_its_own():
    readings = Readings()
    assert not readings.goes_on("root", "rec", beginning=True)
    assert readings.goes_on("root", "rec", beginning=False)
    assert not readings.goes_on("root", "rec", beginning=True)


def test_who_begins_in_the_middle_reads_too():
    readings = Readings()
    assert not readings.goes_on("root", "rec", beginning=False)
    assert readings.goes_on("root", "rec", beginning=False)
    assert not readings.goes_on("eve", "rec", beginning=False)
    assert not readings.goes_on("root", "other", beginning=False)


def test_after_a_while_it_is_another_reading(monkeypatch):
    at = [0.0]
    monkeypatch.setattr(readings_module, "now", lambda: Moment(at[0], 0))
    readings = Readings()
    readings.goes_on("root", "rec", beginning=True)
    at[0] = GOES_ON_S - 1
    assert readings.goes_on("root", "rec", beginning=False)
    at[0] = 2 * GOES_ON_S - 2
    assert readings.goes_on("root", "rec", beginning=False)
    at[0] = 3 * GOES_ON_S
    assert not readings.goes_on("root", "rec", beginning=False)
    assert len(readings._last) == 1
