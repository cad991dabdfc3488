"""Scalability mode identifiers: how many spatial and temporal layers one encoding holds (W3C WebRTC-SVC §6)."""

from __future__ import annotations

import re

from worker_bridge.value import Value, written

_MODE = re.compile(r"[LS]([1-9][0-9]?)T([1-9][0-9]?)(_KEY)?")


class ScalabilityMode(Value, frozen=True):
    """Layers of an encoding; ``ksvc`` where spatial layers depend on each other in key frames only."""

    spatial_layers: int = written(1)
    temporal_layers: int = written(1)
    ksvc: bool = written(False)


SINGLE_LAYER = ScalabilityMode()


def parse_scalability_mode(mode: str | None) -> ScalabilityMode:
    """The layers that ``mode`` begins with (``L3T2_KEY``); one of each where it is absent or says something else."""
    match = _MODE.match(mode) if mode else None
    if match is None:
        return SINGLE_LAYER
    return ScalabilityMode(int(match[1]), int(match[2]), match[3] is not None)
