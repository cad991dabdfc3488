"""Which limits hold a load test, and when they were kept."""

from __future__ import annotations

from types import SimpleNamespace

from voiceplane.loadtest.limits import LIMITS, verdicts


def report(**changed: object) -> SimpleNamespace:
    """The figures that are limited, and nothing else."""
    figures = SimpleNamespace()
    for limit in LIMITS:
        section, _, name = limit.figure.partition(".")
        vars(figures).setdefault(section, SimpleNamespace()).__dict__[name] = changed.get(limit.figure, 0)
    return figures


def test_what_was_not_asked_for_is_held_by_the_usual_limits():
    kept = {verdict.limit.name: verdict.kept for verdict in verdicts(report(**{"packets.loss_percent": 0.11}), {})}
    assert kept == {limit.name: limit.name != "max-loss" for limit in LIMITS if limit.usual is not None}


def test_what_was_asked_for_replaces_the_usual_limit():
    found = report(**{"packets.loss_percent": 0.11, "setup_ms.p95": 50.5})
    held = {verdict.limit.name: verdict for verdict in verdicts(found, {"max-loss": 0.2, "max-setup-p95-ms": 50})}
    assert held["max-loss"].kept
    assert not held["max-setup-p95-ms"].kept
    assert str(held["max-setup-p95-ms"]).startswith("--max-setup-p95-ms 50: 50.5 ms (")


def test_what_could_not_be_measured_has_not_kept_its_limit():
    (held,) = [one for one in verdicts(report(**{"packets.loss_percent": None}), {}) if one.limit.name == "max-loss"]
    assert not held.kept
    assert "nothing was measured" in str(held)
