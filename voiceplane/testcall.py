"""Two parties talk through a server for some seconds, and what each of them heard is judged. Prints nothing.

The media libraries are imported only once a call is made, so that what belongs to it can be named without them.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import aiohttp

from app.access.tokens import issue_token
from app.settings import Settings
from voiceplane.client import Api, Call, CallEnded, ClientError, NoMedia, Voiceplane
from voiceplane.client.api import Released
from voiceplane.client.tokens import Subject

if TYPE_CHECKING:
    from voiceplane.client.tone import ToneReceiver

TONE_TOLERANCE_HZ = 10.0
FRAMES_WANTED = 0.95  # of those sent
FRAMES_PER_SECOND = 50  # Opus' usual 20 ms
FIRST_SOUND_S = 15.0  # ICE, DTLS and the first frames
USER_HZ = 440.0
OTOMO_HZ = 1000.0  # no multiple of the other, so that distortion is not taken for speech
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
        return cls(Subject.of(token).user_id, token)


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
    first_sound_ms: float  # from when both were there to the first decoded frame, so aiortc's jitter buffer counts

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
    """What a call was like. `setup_ms` is everything from the first request until both parties were there."""

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
    clock = asyncio.get_running_loop().time
    call_id = f"check-{secrets.token_hex(6)}"
    async with aiohttp.ClientSession() as http:
        user_api, started = Api(http, base, user.token), clock()
        await Api(http, base, admin_token).open_call(call_id, user.user_id, otomo.user_id, price_per_minute=0)
        say(f"call {call_id} is open")
        async with (
            _cleaned_up_on_error(user_api, call_id),
            Voiceplane(base, user.token) as at_user,
            Voiceplane(base, otomo.token) as at_otomo,
            _ends(at_user, at_otomo, call_id) as (user_end, otomo_end),
        ):
            setup_ms = (clock() - started) * 1000
            say(f"both parties are set up after {setup_ms:.0f} ms")
            await asyncio.gather(user_end.hears_something(patience_s), otomo_end.hears_something(patience_s))
            say(f"both hear something; counting for {seconds:g} s")
            counting = asyncio.gather(
                _measure("user", USER_HZ, "otomo", otomo_end, seconds),
                _measure("otomo", OTOMO_HZ, "user", user_end, seconds),
            )
            to_otomo, to_user = await _unless_it_ends(user_end.call, counting)
            released = await user_api.cleanup(call_id)
        say(f"closed {released.transports} transports, {released.producers} producers, {released.consumers} consumers")
    return CallReport(call_id, setup_ms, to_otomo, to_user, released)


@dataclass(frozen=True, slots=True)
class End:
    """One party of the call and what it hears; `there_at` is when both were set up, by the loop's clock."""

    call: Call
    receiver: ToneReceiver
    there_at: float

    async def hears_something(self, within_s: float) -> None:
        """Raises NoMedia where nothing comes within `within_s` seconds."""
        try:
            async with asyncio.timeout(within_s):
                await _unless_it_ends(self.call, asyncio.ensure_future(self.receiver.heard(1)))
        except TimeoutError as error:
            state = self.call.reception_state()
            raise NoMedia(
                f"{self.receiver.frames} of 1 audio frames arrived within {within_s:g} s ({state})"
            ) from error

    @property
    def first_sound_ms(self) -> float:
        return max(0.0, (self.receiver.first_frame_at or self.there_at) - self.there_at) * 1000


@asynccontextmanager
async def _ends(at_user: Voiceplane, at_otomo: Voiceplane, call_id: str) -> AsyncIterator[tuple[End, End]]:
    """Both parties in the call, each with its tone, and a receiver that measures the other one's."""
    from voiceplane.client.tone import Tone, ToneReceiver

    calls = [await at_user.join(call_id, audio=Tone(USER_HZ)), await at_otomo.join(call_id, audio=Tone(OTOMO_HZ))]
    there_at = asyncio.get_running_loop().time()
    ends = [End(call, ToneReceiver(), there_at) for call in calls]
    listening = [
        asyncio.create_task(end.receiver.listen(end.call.remote_track), name=f"the {end.call.role}'s receiver")
        for end in ends
    ]
    try:
        yield ends[0], ends[1]
    finally:
        for task in listening:
            task.cancel()
        await asyncio.wait(listening)


async def _measure(sender: str, sent_hz: float, receiver: str, end: End, seconds: float) -> Direction:
    frames = round(seconds * FRAMES_PER_SECOND)
    received = await end.receiver.count(frames, within_s=seconds + LATE_S)
    return Direction(
        sender=sender,
        receiver=receiver,
        sent_hz=sent_hz,
        heard_hz=end.receiver.dominant_hz(),
        frames_sent=frames,
        frames_received=received,
        packets_lost=(await end.call.stats()).packets_lost,
        first_sound_ms=end.first_sound_ms,
    )


async def _unless_it_ends(call: Call, work: asyncio.Future[T]) -> T:
    """The result of ``work``. Raises CallEnded at once where the server ends the call before."""
    end = asyncio.create_task(_end_of(call))
    both: tuple[asyncio.Future[Any], ...] = (work, end)
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return await work if work.done() else await end
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)


async def _end_of(call: Call) -> NoReturn:
    raise CallEnded((await call.ended()).reason)


@asynccontextmanager
async def _cleaned_up_on_error(api: Api, call_id: str) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        with suppress(ClientError):  # the first error is the one to tell
            await api.cleanup(call_id)
        raise
