"""The plot of a load test: CPU and loss over the number of calls, one dot a second."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voiceplane.loadtest.errors import LoadTestError
from voiceplane.loadtest.sampler import Sample

COSTS = (
    ("worker_cpu", "native workers", "tab:blue"),
    ("plane_cpu", "control plane", "tab:green"),
    ("generator_cpu", "load generator", "tab:gray"),
)
SIZE_INCHES = (8.0, 5.0)
DPI = 120


def require_matplotlib() -> None:
    """Raises LoadTestError where matplotlib is not installed."""
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it logs its fonts at import
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise LoadTestError("a plot needs matplotlib: pip install 'voiceplane[plot]'") from error


def draw(samples: Sequence[Sample], to: Path, title: str) -> None:
    """Write a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE_INCHES, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    _fill(figure, samples, title)
    figure.savefig(to, format="png")


def _fill(figure: Any, samples: Sequence[Sample], title: str) -> None:
    figure.suptitle(title)
    cores, loss = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    calls = [sample.talking for sample in samples]
    for name, label, colour in COSTS:
        cores.scatter(calls, [getattr(sample, name) for sample in samples], s=14, alpha=0.6, label=label, color=colour)
    cores.set(ylabel="CPU (cores)", ylim=(0, None))
    cores.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(COSTS), frameon=False)
    loss.scatter(calls, [sample.lost_percent for sample in samples], s=14, alpha=0.6, color="tab:red")
    loss.set(xlabel="calls that talk", ylabel="lost (%)", ylim=(0, None), xlim=(0, None))
    for part in (cores, loss):
        part.grid(alpha=0.3)
