"""The witnesses: a few real calls among the many, whose pymediasoup parties send a tone each and judge what arrives."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from app.settings import Settings
from voiceplane.client.errors import ClientError
from voiceplane.testcall import Identity, run_call

SECONDS = 4.0  # of counted sound
PATIENCE_S = 30.0  # the machine is busy


@dataclass(frozen=True, slots=True)
class ReferenceResult:
    """One reference call: what both parties heard, in a sentence, and what was wrong with it, if anything."""

    heard: str
    fault: str | None

    @property
    def good(self) -> bool:
        return self.fault is None


def prepare() -> None:
    """Load the media libraries now: it takes a while, and would hold up the event loop under load."""
    import voiceplane.client.sound
    import voiceplane.client.tone  # noqa: F401


async def make_reference_calls(
    base: str, settings: Settings, count: int, say: Callable[[str], None]
) -> list[ReferenceResult]:
    """Make `count` calls at the same time; each is judged as `voiceplane call` judges its own."""
    logging.getLogger("aioice").setLevel(logging.WARNING)  # it logs every ICE check at info
    found = list(await asyncio.gather(*(_reference_call(base, settings) for _ in range(count))))
    for number, one in enumerate(found, 1):
        say(f"witness {number}: {one.heard}" if one.good else f"witness {number} is not content: {one.fault}")
    return found


async def _reference_call(base: str, settings: Settings) -> ReferenceResult:
    admin, user, otomo = (Identity.signed(who, settings) for who in ("admin", "user", "otomo"))
    try:
        report = await run_call(base, admin.token, user, otomo, seconds=SECONDS, patience_s=PATIENCE_S)
    except ClientError as error:
        return ReferenceResult("nothing", str(error))
    return ReferenceResult(f"{report.to_otomo}; {report.to_user}", report.fault())
