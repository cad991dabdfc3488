"""Two parties that stand for your pages: both join a call that is open, send a tone, and one hangs up.

    python talk.py http://127.0.0.1:8080 order-1001 USER_TOKEN OTOMO_TOKEN --seconds 5

Needs voiceplane's media libraries: pip install 'voiceplane[call]'.
"""

from __future__ import annotations

import argparse
import asyncio

from voiceplane.client import Call, Connected, Ended, Tick, Voiceplane
from voiceplane.client.tone import Tone


async def follow(call: Call) -> None:
    async for event in call.events():
        match event:
            case Connected():
                print("connected: from now on it costs", flush=True)
            case Tick(charged_points=points, user_balance=balance):
                print(f"charged {points} points, {balance} are left", flush=True)
            case Ended(reason=reason):
                print(f"ended: {reason}", flush=True)


async def main(url: str, call_id: str, user_token: str, otomo_token: str, seconds: float) -> None:
    async with Voiceplane(url, user_token) as user, Voiceplane(url, otomo_token) as otomo:
        call = await user.join(call_id, audio=Tone(440))
        following = asyncio.create_task(follow(call))
        await otomo.join(call_id, audio=Tone(660))
        await asyncio.sleep(seconds)
        await call.hang_up()
        await following


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("url", "call_id", "user_token", "otomo_token"):
        parser.add_argument(name)
    parser.add_argument("--seconds", type=float, default=5.0)
    asyncio.run(main(**vars(parser.parse_args())))
