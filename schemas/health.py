"""Bodies about a node's health, as load balancers and supervisors read them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from schemas.base import ObjectOf, Schema
from schemas.call import count
from schemas.fields import Choice, Flag, ListOf, Number, Text
from schemas.node import ProbeResult, ProbeResultSchema

Readiness = Literal["ready", "draining", "unavailable"]


@dataclass(frozen=True, slots=True)
class Alive:
    """``lag_ms`` is how late the event loop was at worst in the last second."""

    lag_ms: float
    status: str = "live"


@dataclass(frozen=True, slots=True)
class Check:
    """One part of the node: how long it took to answer, in milliseconds, and what is wrong with it."""

    name: str
    ok: bool
    ms: float
    restarts: int | None = None
    probe: ProbeResult | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """Whether the node takes calls, with every part that was looked at."""

    status: Readiness
    stress: float
    checks: tuple[Check, ...]


class AliveSchema(Schema[Alive]):
    status = Choice("live")
    lag_ms = Number()


class CheckSchema(Schema[Check]):
    name = Text(at_most=64)
    ok = Flag()
    ms = Number()
    restarts = count(load_default=None)
    probe = ObjectOf(ProbeResultSchema, load_default=None)
    problem = Text(at_most=1000, load_default=None)


class ReadySchema(Schema[Ready]):
    status = Choice(*get_args(Readiness))
    stress = Number()
    checks = ListOf(ObjectOf(CheckSchema), at_most=1024)
