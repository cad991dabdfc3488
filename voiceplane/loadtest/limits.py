"""The limits of a load test, as a table: each one bounds a figure of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from voiceplane.loadtest.report import Report


@dataclass(frozen=True, slots=True)
class Limit:
    """``figure`` is a path in the report. ``usual`` is the limit where none is given; None is no limit."""

    name: str
    figure: str
    means: str
    unit: str = ""
    usual: float | None = None


LIMITS = (
    Limit("max-loss", "packets.loss_percent", "packets lost of those sent in calls that ended as asked", "%", 0.1),
    Limit("max-failed", "calls.failed", "calls that failed, other than by a worker that was killed", "", 0),
    Limit(
        "max-billing-error", "billing.error_units", "units charged and not billable, or billable and not charged", "", 0
    ),
    Limit("max-bad-witnesses", "witnesses.bad", "witnesses who did not hear the other's tone", "", 0),
    Limit("max-forged", "packets.forged", "packets that failed authentication", "", 0),
    Limit("max-setup-p95-ms", "setup_ms.p95", "from a call's first request until both may talk", "ms"),
    Limit("max-first-rtp-p95-ms", "first_rtp_ms.p95", "from there to the first packet at both ends", "ms"),
    Limit("max-late-p99-ms", "forwarding_ms.p99", "what a packet is under way through the server", "ms"),
    Limit("max-worker-cpu", "cpu.worker_cores", "cores that the server's workers kept busy", "cores"),
)


class JudgedLimit(msgspec.Struct, frozen=True):
    """A verdict, as the report has it."""

    limit: str
    allowed: float
    measured: float | None
    kept: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """One limit against the measured figure. A figure that could not be measured does not keep it."""

    limit: Limit
    allowed: float
    measured: float | None

    @property
    def kept(self) -> bool:
        return self.measured is not None and self.measured <= self.allowed

    def described(self) -> JudgedLimit:
        return JudgedLimit(self.limit.name, self.allowed, self.measured, self.kept)

    def __str__(self) -> str:
        unit = f" {self.limit.unit}".rstrip()
        measured = "nothing was measured" if self.measured is None else f"{self.measured:g}{unit}"
        return f"--{self.limit.name} {self.allowed:g}: {measured} ({self.limit.means})"


def verdicts(report: Report, asked: Mapping[str, float]) -> Iterator[Verdict]:
    """Judge the report. :param asked: limits that were given, by their names; all others are as usual."""
    for limit in LIMITS:
        allowed = asked.get(limit.name, limit.usual)
        if allowed is not None:
            yield Verdict(limit, allowed, attrgetter(limit.figure)(report))
