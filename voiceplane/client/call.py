"""Two parties talk through a server for some seconds, and what each of them heard is judged. Prints nothing.

The media libraries are imported only once a call is made, so that what belongs to it can be named without them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import aiohttp

from app.access.tokens import issue_token
from app.settings import Settings
from voiceplane.client.api import Api, Released
from voiceplane.client.errors import CallEnded, ClientError

if TYPE_CHECKING:
    from voiceplane.client.party import Hearing, Voice

TONE_TOLERANCE_HZ = 10.0
FRAMES_WANTED = 0.95  # of those sent
FRAMES_PER_SECOND = 50  # Opus' usual 20 ms
FIRST_SOUND_S = 15.0  # ICE, DTLS and the first frames
LOOK_EVERY_S = 1.0  # whether the call is still on
LATE_S = 3.0  # a frame that is later than this is lost
MAX_SECONDS = 3600.0
TOKEN_TTL_S = MAX_SECONDS + 600

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """A party's user id and the token that proves it."""

    user_id: str
    token: str

    @classmethod
    def signed(cls, who: str, settings: Settings) -> Identity:
        """Somebody new of that role, with a token of our own. Raises SettingsError where others sign."""
        user_id = f"check-{who}-{secrets.token_hex(4)}"
        return cls(user_id, issue_token(settings, user_id, who, TOKEN_TTL_S))

    @classmethod
    def of(cls, token: str) -> Identity:
        """Whom a token names; if it is any good is the server's to say. Raises ValueError where it names nobody."""
        try:
            payload = token.split(".")[1]
            claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
            return cls(str(claims.get("sub") or claims["userId"]), token)
        except (IndexError, ValueError, KeyError, AttributeError) as error:
            raise ValueError("no JWT with a user id in it") from error


@dataclass(frozen=True, slots=True)
class Direction:
    """What went one way, counted over the same window at both ends."""

    sender: str
    receiver: str
    sent_hz: float
    heard_hz: float
    frames_sent: int
    frames_received: int
    packets_lost: int
    first_sound_ms: float  # from the answer of RTC-04 to the first decoded frame, so aiortc's jitter buffer counts

    @property
    def received(self) -> float:
        """Share of the sent frames that arrived."""
        return self.frames_received / self.frames_sent

    def fault(self) -> str | None:
        """One sentence about what is wrong with this direction, or None."""
        if self.received < FRAMES_WANTED:
            return f"{self.receiver} received only {self.received:.1%} of {self.sender}'s {self.frames_sent} frames."
        if abs(self.heard_hz - self.sent_hz) > TONE_TOLERANCE_HZ:
            return f"{self.receiver} heard {self.heard_hz:.0f} Hz where {self.sender} sent {self.sent_hz:.0f} Hz."
        return None

    def __str__(self) -> str:
        return (
            f"{self.sender} -> {self.receiver}: "
            f"{self.frames_received} of {self.frames_sent} frames ({self.received:.1%}), "
            f"{self.packets_lost} packets lost, {self.heard_hz:.0f} Hz of {self.sent_hz:.0f} Hz, "
            f"first sound after {self.first_sound_ms:.0f} ms"
        )


@dataclass(frozen=True, slots=True)
class CallReport:
    """What a call was like. `setup_ms` is everything from the first request to both consumers resumed."""

    call_id: str
    setup_ms: float
    to_otomo: Direction
    to_user: Direction
    released: Released

    def fault(self) -> str | None:
        """One sentence about the first thing that is wrong, or None."""
        return self.to_otomo.fault() or self.to_user.fault()


async def run_call(
    base: str,
    admin_token: str,
    user: Identity,
    otomo: Identity,
    *,
    seconds: float = 5.0,
    patience_s: float = FIRST_SOUND_S,
    say: Say = lambda _: None,
) -> CallReport:
    """Make a free call as an admin, let both parties talk, count, and close it again.

    :param base: the server's URL without a path.
    :param seconds: how long to count, once both hear each other.
    :param patience_s: how long either may wait for the first sound.
    :param say: gets a line for every step.
    Raises ClientError where the server can't be reached, refuses, or lets no sound through.
    """
    from voiceplane.client.conversation import conversation

    clock = asyncio.get_running_loop().time
    call_id = f"check-{secrets.token_hex(6)}"
    async with aiohttp.ClientSession() as http:
        user_api, otomo_api = Api(http, base, user.token), Api(http, base, otomo.token)
        started = clock()
        await Api(http, base, admin_token).open_call(call_id, user.user_id, otomo.user_id, price_per_minute=0)
        say(f"call {call_id} is open")
        async with _cleaned_up_on_error(user_api, call_id), conversation(user_api, otomo_api, call_id) as talk:
            setup_ms = (clock() - started) * 1000
            say(f"both parties are set up after {setup_ms:.0f} ms")
            await talk.heard(within_s=patience_s)
            say(f"both hear something; counting for {seconds:g} s")
            counting = asyncio.gather(
                _measure("user", "otomo", talk.user_voice, talk.otomo_hearing, seconds),
                _measure("otomo", "user", talk.otomo_voice, talk.user_hearing, seconds),
            )
            to_otomo, to_user = await _unless_it_ends(user_api, call_id, counting)
            released = await user_api.cleanup(call_id)
        say(f"closed {released.transports} transports, {released.producers} producers, {released.consumers} consumers")
    return CallReport(call_id, setup_ms, to_otomo, to_user, released)


async def _measure(sender: str, receiver: str, voice: Voice, hearing: Hearing, seconds: float) -> Direction:
    tone, frames = hearing.receiver, round(seconds * FRAMES_PER_SECOND)
    received = await tone.count(frames, within_s=seconds + LATE_S)
    return Direction(
        sender=sender,
        receiver=receiver,
        sent_hz=voice.tone.hz,
        heard_hz=tone.dominant_hz(),
        frames_sent=frames,
        frames_received=received,
        packets_lost=await hearing.packets_lost(),
        first_sound_ms=((tone.first_frame_at or voice.produced_at) - voice.produced_at) * 1000,
    )


async def _unless_it_ends(api: Api, call_id: str, work: asyncio.Future[T]) -> T:
    """The result of ``work``. Raises ClientError at once where the server ends the call before, or is gone."""
    end = asyncio.create_task(_end_of(api, call_id))
    both: tuple[asyncio.Future[Any], ...] = (work, end)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return await work if work.done() else await end
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _end_of(api: Api, call_id: str) -> NoReturn:
    """Raises CallEnded when the server ends the call."""
    while True:
        call = await api.request("GET", f"/calls/{call_id}")
        if call.get("state") == "ended":
            raise CallEnded(str(call.get("endReason")))
        await asyncio.sleep(LOOK_EVERY_S)


@asynccontextmanager
async def _cleaned_up_on_error(api: Api, call_id: str) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        with suppress(ClientError):  # the first error is the one to tell
            await api.cleanup(call_id)
        raise
