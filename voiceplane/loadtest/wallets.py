"""The points of a load test: given to its users before, and taken back after it.

No real user's wallet is touched: the users are named after the run, and have none before it.
"""

from __future__ import annotations

import math

from schemas.wallet import AdjustRequest
from voiceplane.client.api import Api
from voiceplane.loadtest.options import Options

SPARE_UNITS = 3


def points_needed(options: Options, longest_s: float) -> int:
    """Points that are enough for one user's calls, wherever units begin."""
    return options.price * (math.ceil(longest_s / options.unit_s) + SPARE_UNITS)


async def give(admin: Api, user_id: str, points: int) -> None:
    await _adjust(admin, user_id, points, "load-test-begins")


async def take_back(admin: Api, user: Api, user_id: str) -> None:
    """Take back whatever is left."""
    left = (await user.request("GET", "/wallet/balance"))["balance"]
    if left:
        await _adjust(admin, user_id, -left, "load-test-ends")


async def _adjust(admin: Api, user_id: str, points: int, reason: str) -> None:
    body = AdjustRequest(points, reason, f"{user_id}-{reason}")
    await admin.request("POST", f"/admin/wallets/{user_id}/adjust", body)
