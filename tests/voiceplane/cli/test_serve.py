"""`voiceplane serve` names every setting in its help. What it serves is in `tests/app/http/test_server.py`."""

from __future__ import annotations

import pytest

from app.settings import Settings
from voiceplane.cli import main


def test_the_help_of_serve_names_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--help"]) == 0
    shown = capsys.readouterr().out.split()
    assert [name for name in Settings.__dataclass_fields__ if f"VOICEPLANE_{name.upper()}" not in shown] == []
    assert "8080)" in shown
