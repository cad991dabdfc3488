"""The points that a load test needs: given to users of its own making before, and taken from them after.

No real user's wallet is touched: the users are named after the run, and have none before it.
"""

from __future__ import annotations

import math

from voiceplane.client.api import Api
from voiceplane.loadtest.options import Options

SPARE_UNITS = 3


def points_needed(options: Options, longest_s: float) -> int:
    """Enough for one user's calls, however they fall on the units."""
    return options.price * (math.ceil(longest_s / options.unit_s) + SPARE_UNITS)


async def give(admin: Api, user_id: str, points: int) -> None:
    await _adjust(admin, user_id, points, "load-test-begins")


async def take_back(admin: Api, user: Api, user_id: str) -> None:
    """Whatever is left."""
    left = (await user.request("GET", "/wallet/balance"))["balance"]
    if left:
        await _adjust(admin, user_id, -left, "load-test-ends")


async def _adjust(admin: Api, user_id: str, points: int, reason: str) -> None:
    body = {"amount": points, "reason": reason, "idempotencyKey": f"{user_id}-{reason}"}
    await admin.request("POST", f"/admin/wallets/{user_id}/adjust", body)
