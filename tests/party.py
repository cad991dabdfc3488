"""One party of a call in one room, for tests of the server: it sends a tone and listens, and follows the call nowhere.

A party owns its media, its tone and the tasks that listen; leaving `Party.joined` closes all of them, whatever happened
inside. What people use is `voiceplane.client.Voiceplane`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Self

from voiceplane.client import Api, NoMedia
from voiceplane.client.handler import DtlsRole, PartyHandler
from voiceplane.client.media import RoomMedia
from voiceplane.client.tone import Tone, ToneReceiver

FIRST_SOUND_TIMEOUT_S = 15.0  # ICE, DTLS and the first frames


class Voice:
    """What this party sends: its producer, and when the server knew of it (the loop's clock, seconds)."""

    def __init__(self, producer_id: str, tone: Tone, produced_at: float) -> None:
        self.producer_id = producer_id
        self.tone = tone
        self.produced_at = produced_at


class Hearing:
    """What this party receives from one producer."""

    def __init__(self, consumer_id: str, receiver: ToneReceiver, handler: PartyHandler) -> None:
        self.consumer_id = consumer_id
        self.receiver = receiver
        self._handler = handler

    async def heard(self, frames: int, within_s: float = FIRST_SOUND_TIMEOUT_S) -> None:
        """Wait until `frames` frames have arrived since the beginning.

        Raises NoMedia where they do not within `within_s` seconds.
        """
        try:
            async with asyncio.timeout(within_s):
                await self.receiver.heard(frames)
        except TimeoutError as error:
            arrived = f"{self.receiver.frames} of {frames} audio frames arrived within {within_s:g} s"
            raise NoMedia(f"{arrived} ({self._handler.state()})") from error

    async def packets_lost(self) -> int:
        """RTP packets missing so far, by their sequence numbers."""
        return await self._handler.packets_lost()


class Party:
    """Made by `joined`; `send` and `receive` may each be used once, in any order."""

    def __init__(self, api: Api, media: RoomMedia, stack: AsyncExitStack) -> None:
        self.api = api
        self.media = media
        self._stack = stack
        self._tone: Tone | None = None

    @classmethod
    @asynccontextmanager
    async def joined(cls, api: Api, call_id: str, *, dtls_role: DtlsRole | None = None) -> AsyncIterator[Self]:
        """A party of a call that has its room open, until the block is left. `dtls_role` as in `media.load_device`."""
        async with RoomMedia.joined(api, call_id, dtls_role=dtls_role) as media, AsyncExitStack() as stack:
            yield cls(api, media, stack)

    async def send(self, hz: float) -> Voice:
        """Send a tone. Returns once the server knows the producer."""
        tone = self._tone = Tone(hz)
        self._stack.callback(tone.stop)
        producer_id = await self.media.send(tone)
        return Voice(producer_id, tone, asyncio.get_running_loop().time())

    async def receive(self, producer_id: str) -> Hearing:
        """Listen to a producer. Returns once the consumer is resumed."""
        reception = await self.media.receive(producer_id)
        receiver = ToneReceiver()
        task = asyncio.create_task(receiver.listen(reception.track), name=f"receiver of {reception.consumer_id}")
        self._stack.push_async_callback(_cancelled, task)
        return Hearing(reception.consumer_id, receiver, reception.handler)

    def stop_sending(self) -> None:
        """End the tone: no RTP leaves any more, while the transport stays connected."""
        if self._tone is not None:
            self._tone.stop()

    def vanish(self) -> None:
        """Stop existing for the network: no DTLS close, no RTCP BYE, no further packet of any kind."""
        self.media.vanish()

    def states(self) -> list[str]:
        """How far each transport got, in the order of their making, as in "ICE completed, DTLS connected"."""
        return [handler.state() for handler in self.media.handlers]

    def dtls_roles(self) -> list[str]:
        """Our side of each transport's handshake, in the order of their making: "client" or "server"."""
        return [role for handler in self.media.handlers for role in handler.dtls_roles()]


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
