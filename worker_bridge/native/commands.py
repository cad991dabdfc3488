"""What ``build``, ``path`` and ``check`` answer on a command line, as text and for scripts. Whose command line it is,
and how that shows steps and failures, is its own affair.

All three raise NativeError, as what they call does.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker_bridge.native.builder import build
from worker_bridge.native.cache import NativeWorker, locate
from worker_bridge.native.checker import check
from worker_bridge.native.tools import Progress


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found: a line for people, and an object of plain values for scripts."""

    text: str
    described: dict[str, object]


def build_worker(progress: Progress, *, force: bool = False) -> Answer:
    """Have a worker, unless there is one: see ``builder.build``."""
    return _found(build(progress, force=force))


def worker_path(binary: str | None = None) -> Answer:
    """Which worker would be run: ``binary``, or see ``cache.locate``."""
    return _found(locate(binary))


def check_worker(binary: str | None = None) -> Answer:
    """Start that worker once, and see that it is at work and of our release."""
    found = locate(binary)
    report = check(found)
    openssl = f"OpenSSL {report.openssl} in it" if report.openssl else "the system's OpenSSL"
    what = f"{report.path} is mediasoup {report.version} ({report.origin}) with {openssl}"
    text = f"{what}, and answered {report.milliseconds:.0f} ms after its start"
    took = {"openssl": report.openssl, "answeredAfterMs": round(report.milliseconds, 1)}
    return Answer(text, _found(found).described | took)


def _found(worker: NativeWorker) -> Answer:
    described: dict[str, object] = {
        "path": str(worker.binary),
        "schema": str(worker.schema),
        "version": worker.version,
        "origin": worker.origin,
    }
    return Answer(str(worker.binary), described)
