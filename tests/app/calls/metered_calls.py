"""Calls whose seconds the test says: what is due is decided, and tried once to be stored."""

from __future__ import annotations

from app.calls.call import LiveCall
from app.clock import Moment, shifted
from schemas.tariff import Tariff
from tests.app.conftest import PRICE, Desk, prove_alive


async def time_is(desk: Desk, call: LiveCall, seconds: float, *, alive: bool = True, wall_ms: int = 0) -> None:
    """So long after the connection: what is due is decided, and tried once to be stored. ``wall_ms`` is a jump."""
    assert call.connected_at is not None
    present = shifted(call.connected_at, call.connected_at.monotonic + seconds)
    if alive:
        prove_alive(call, present.monotonic)
    desk.meter._collect(Moment(present.monotonic, present.utc_ms + wall_ms))
    async with desk.meter._storing:
        await desk.meter._store()


async def started(
    desk: Desk, *, points: int | None = 1000, price: int = PRICE, tariff: Tariff | None = None
) -> LiveCall:
    call = await desk.talking(price=price, tariff=tariff)
    if points is not None:
        await desk.give(call.user_id, points)
    desk.meter.follow(call)
    return call


async def units(desk: Desk, call: LiveCall) -> list[tuple[int, int, int]]:
    """(index, points, seconds of the call) of every stored unit."""
    billing = await desk.ledger.billing(call.id)
    return [(unit.index, unit.points, unit.duration_seconds) for unit in billing.units]
