"""Bodies about a node's health, as load balancers and supervisors read them."""

from __future__ import annotations

from typing import Literal

from msgspec import UNSET, UnsetType

from schemas.base import Answer
from schemas.node import ProbeResult
from schemas.types import Count, Measure, Prose, Word

Readiness = Literal["ready", "draining", "unavailable"]


class Alive(Answer, frozen=True):
    """``lag_ms`` is the event loop's worst lag in the last second, in milliseconds."""

    lag_ms: Measure
    status: Literal["live"] = "live"


class Check(Answer, frozen=True):
    """One part of the node: how long it took to answer, in milliseconds, and what is wrong with it."""

    name: Word
    ok: bool
    ms: Measure
    restarts: Count | UnsetType = UNSET
    probe: ProbeResult | UnsetType = UNSET
    problem: Prose | UnsetType = UNSET


class Ready(Answer, frozen=True):
    """Whether the node can take calls, with every part that was checked."""

    status: Readiness
    stress: Measure
    checks: tuple[Check, ...]
