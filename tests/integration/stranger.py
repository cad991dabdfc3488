"""A party in a process of its own, to be killed: `stranger.py BASE TOKEN CALL_ID PRODUCER_ID`.

Prints the id of its own producer, then "hears", and goes on until somebody ends it.
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp

from tests.conversation import OTOMO_HZ
from tests.party import Party
from voiceplane.client.api import Api


async def main(base: str, token: str, call_id: str, producer_id: str) -> None:
    async with aiohttp.ClientSession() as http, Party.joined(Api(http, base, token), call_id) as party:
        print((await party.send(OTOMO_HZ)).producer_id, flush=True)
        hearing = await party.receive(producer_id)
        await hearing.heard(1)
        print("hears", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
