"""The types of options."""

from __future__ import annotations

import click
import pytest

from voiceplane.cli.command import Duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("1.5h", 5400), ("7d", 604800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert Duration()(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "0", "-1h", "1w", "1 h", "99999d", "1e9", "nan", "1h30m"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Duration()(text)
