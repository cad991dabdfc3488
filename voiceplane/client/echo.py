"""A room in which one person hears nobody but themselves: a quiet tone goes to the server and comes back.

Nothing of it is left afterwards, here or at the server.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from voiceplane.client.api import Api
from voiceplane.client.errors import ClientError, NoMedia
from voiceplane.client.media import Reception, RoomMedia
from voiceplane.client.stats import CallStats, heard_since
from voiceplane.client.tone import Tone, ToneReceiver

BACK_WITHIN_S = 10.0
LISTEN_FOR_S = 3.0
HZ, QUIET = 440.0, 0.05  # of full scale


async def echo(api: Api) -> float | None:
    """How it sounds, as a mean opinion score of ITU-T G.107, 1 to 4.5; None where it does not come back long enough.

    Raises ClientError: NoMedia where it does not come back at all within `BACK_WITHIN_S`.
    """
    call_id = await api.open_preflight()
    tone = Tone(HZ, QUIET)
    try:
        async with RoomMedia.joined(api, call_id) as media:
            try:
                async with asyncio.timeout(BACK_WITHIN_S):
                    reception = await media.receive(await media.send(tone))
            except ClientError:
                raise
            except Exception as error:
                raise NoMedia(f"the sound of {call_id} could not be set up: {error!r}") from error
            return await _listened(media, reception)
    finally:
        tone.stop()
        with suppress(ClientError):  # it closes by itself
            await api.close_preflight(call_id)


async def _listened(media: RoomMedia, reception: Reception) -> float | None:
    receiver = ToneReceiver()
    listening = asyncio.create_task(receiver.listen(reception.track), name=f"one's own sound in {media.call_id}")
    try:
        async with asyncio.timeout(BACK_WITHIN_S):
            await receiver.heard(1)
        before = await _stats(media)
        await asyncio.sleep(LISTEN_FOR_S)
        return heard_since(before, await _stats(media))[1]
    except TimeoutError as error:
        how_far = reception.handler.state()
        raise NoMedia(f"no sound came back by UDP within {BACK_WITHIN_S:g} s ({how_far})") from error
    finally:
        listening.cancel()
        await asyncio.wait([listening])


async def _stats(media: RoomMedia) -> CallStats:
    return CallStats.of(await media.stats(), ())
