"""Two parties of one call, each sending its tone and hearing the other's. Judges nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.party import FIRST_SOUND_TIMEOUT_S, Hearing, Party, Voice
from voiceplane.client import Api
from voiceplane.client.handler import DtlsRole
from voiceplane.testcall import OTOMO_HZ, USER_HZ


@dataclass(frozen=True, slots=True)
class Conversation:
    """Both parties, what each sends, and what each hears of the other."""

    user: Party
    otomo: Party
    user_voice: Voice
    otomo_voice: Voice
    user_hearing: Hearing
    otomo_hearing: Hearing

    async def heard(self, frames: int = 1, within_s: float = FIRST_SOUND_TIMEOUT_S) -> None:
        """Wait until both have heard so many frames since the beginning.

        Raises NoMedia where one of them has not in time.
        """
        await asyncio.gather(self.user_hearing.heard(frames, within_s), self.otomo_hearing.heard(frames, within_s))


@asynccontextmanager
async def conversation(
    user: Api, otomo: Api, call_id: str, *, dtls_role: DtlsRole | None = None
) -> AsyncIterator[Conversation]:
    """Set up both parties of an open call, until both consumers are resumed. Leaving the block closes both clients.

    Raises ClientError where the server can't be reached or refuses.
    """
    async with (
        Party.joined(user, call_id, dtls_role=dtls_role) as caller,
        Party.joined(otomo, call_id, dtls_role=dtls_role) as callee,
    ):
        user_voice = await caller.send(USER_HZ)
        otomo_voice = await callee.send(OTOMO_HZ)
        user_hearing = await caller.receive(otomo_voice.producer_id)
        otomo_hearing = await callee.receive(user_voice.producer_id)
        yield Conversation(caller, callee, user_voice, otomo_voice, user_hearing, otomo_hearing)
