"""Calls of the load generator on a cluster, which are held while something is done to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

from tests.cluster.member import UNIT_S
from tests.cluster.service import NAMES, Service
from tests.conftest import eventually
from voiceplane.loadtest.engine import Engine
from voiceplane.loadtest.findings import Findings
from voiceplane.loadtest.load_call import LoadContext
from voiceplane.loadtest.moves import Kill, Move
from voiceplane.loadtest.options import Options
from voiceplane.loadtest.run import LoadTest, http_session

PRICE = 7
RAMP = 4.0  # calls a second
RAMP_WITHIN_S = 90.0
LATE_S = 2.0  # what each move, and the end, may leave uncharged where the machine does other things as well

Trouble = Callable[[list[Kill]], Awaitable[None]]
"""What is done from when all calls talk. It notes the nodes that it kills, and is cancelled when the hold is over."""


async def held(
    service: Service, calls: int, hold_s: float, trouble: Trouble, *, frame_ms: int = 20, unit_s: float = UNIT_S
) -> Findings:
    """So many calls by the balancer, each with parties of its own, held for so long under the trouble."""
    options = Options(service.base, calls, RAMP, hold_s, PRICE, unit_s, witnesses=0, frame_ms=frame_ms)
    async with (
        http_session() as http,
        Engine.running(frame_ms) as engine,
    ):
        admin = service.api(http)
        context = LoadContext(options, admin, engine, await admin.capabilities())
        test = LoadTest(context, http, service.nodes[NAMES[0]].settings, print, lambda _: None)

        async def make_trouble() -> None:
            await eventually(lambda: calls - len(context.talking), within_s=RAMP_WITHIN_S)
            await trouble(context.kills)

        testing, troubling = (asyncio.create_task(one) for one in (test.held(), make_trouble()))
        try:
            findings = await testing
        finally:
            for task in (testing, troubling):
                task.cancel()
            _, end = await asyncio.gather(testing, troubling, return_exceptions=True)
        assert end is None or isinstance(end, asyncio.CancelledError), end
        return findings


def moves_of(findings: Findings) -> list[Move]:
    return [move for one in findings.outcomes for move in one.moves]


def wrongs(findings: Findings) -> Iterator[str]:
    """A sentence for each call that did not end as it was asked to, or was not charged for what was talked."""
    unit_s = findings.options.unit_s
    for one in findings.outcomes:
        if not one.completed:
            yield f"{one.call_id}: {one.fault or one.end_reason}"
            continue
        least, most = one.billable_units(unit_s)
        late_s = LATE_S * (len(one.moves) + 1)
        if not least - late_s / unit_s <= one.units_charged <= most:
            yield f"{one.call_id}: {one.units_charged} units, of {least} to {most}; {one.duration_s} s by the server"
