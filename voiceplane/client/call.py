"""One call, as one of its parties has it: its state, its sound, its events, and what can be done with it.

Made by `Voiceplane.call`, `join` and `current`, and given to listeners of `incoming`. It owns the task that keeps the
sound connected; after its end nothing of it is left, here or at the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, overload

from voiceplane.client.api import Api
from voiceplane.client.course import Course
from voiceplane.client.emitter import Emitter
from voiceplane.client.errors import CallEnded, Refused
from voiceplane.client.events import (
    Accepted,
    CallEvent,
    CallRecord,
    Connected,
    Ended,
    Ending,
    Interrupted,
    Moved,
    ProducerNotice,
    QualityChanged,
    RemoteMuted,
    Resumed,
    Silent,
    SilentMicrophone,
    StateChanged,
    Tick,
    read,
)
from voiceplane.client.states import CallState, Step
from voiceplane.client.stats import CallStats, Quality

if TYPE_CHECKING:
    from aiortc import MediaStreamTrack
    from pymediasoup import Device

    from voiceplane.client.audio import Loudspeaker
    from voiceplane.client.sound import Sound

TRY_FOR_S = 10.0  # for requests that are safe to repeat, while the server is busy or away
SET_UP_WITHIN_S = 30.0
ELSEWHERE = "elsewhere"  # how a call ends here that goes on in another client of the same person

Role = Literal["user", "otomo"]
Leave = Callable[[], None]
"""Removes a listener."""

TOLD: dict[str, tuple[str, type[Any], Step | None]] = {
    "call_accepted": ("accepted", Accepted, "accepted"),
    "call_connected": ("connected", Connected, "connected"),
    "call_tick": ("tick", Tick, None),
    "call_ending": ("ending", Ending, None),
    "call_silent": ("silent", Silent, None),
    "call_interrupted": ("interrupted", Interrupted, "interrupted"),
    "call_resumed": ("resumed", Resumed, "resumed"),
    "call_end": ("ended", Ended, "ended"),
}
"""The server's events of a call: our name of each, its shape, and the state that follows."""


class Call:
    """`id`, `role` (ours) and `state` are known from the start, `record` as soon as the server has sent it."""

    def __init__(
        self,
        api: Api,
        call_id: str,
        role: Role,
        device: Callable[[], Coroutine[Any, Any, Device]],
        track: MediaStreamTrack | None,
        *,
        state: CallState = "ringing",
    ) -> None:
        self.id = call_id
        self.role: Role = role
        self.record: CallRecord | None = None
        self.end: Ended | None = None
        self._course = Course(state)
        self._remote_muted = False
        self._api = api
        self._device = device
        self._track = track
        self._muted = False
        self._answered = False
        self._events: Emitter[CallEvent] = Emitter()
        self._over = asyncio.Event()
        self._sound: Sound | None = None
        self._offered: dict[str, int] = {}  # producers of no party's that may be heard: the epochs of their rooms

    def __repr__(self) -> str:
        return f"<Call {self.id}: {self.state}>"

    # What happens

    @overload
    def on(self, name: Literal["state"], listener: Callable[[StateChanged], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["accepted"], listener: Callable[[Accepted], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["connected"], listener: Callable[[Connected], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["tick"], listener: Callable[[Tick], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["ending"], listener: Callable[[Ending], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["silent"], listener: Callable[[Silent], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["interrupted"], listener: Callable[[Interrupted], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["resumed"], listener: Callable[[Resumed], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["moved"], listener: Callable[[Moved], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["quality"], listener: Callable[[QualityChanged], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["remotemuted"], listener: Callable[[RemoteMuted], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["silentmicrophone"], listener: Callable[[SilentMicrophone], object]) -> Leave: ...
    @overload
    def on(self, name: Literal["ended"], listener: Callable[[Ended], object]) -> Leave: ...
    def on(self, name: str, listener: Callable[[Any], object]) -> Leave:
        """Call `listener`, a function or a coroutine function, with each event of that name."""
        return self._events.add(name, listener)

    def events(self) -> AsyncIterator[CallEvent]:
        """Every event from now on; the last one is `Ended`."""
        return self._events.stream()

    async def ended(self) -> Ended:
        """Wait until the call has ended, and nothing of it is left here."""
        await self._over.wait()
        if self._sound is not None:
            await self._sound.closed()
        assert self.end is not None  # noqa: S101  which is what `_over` says
        return self.end

    # What can be done

    async def accept(self, audio: MediaStreamTrack | None = None) -> None:
        """Accept a ringing call, as its otomo, and send `audio`; without it, silence.

        Returns once the sound is set up. Raises ClientError: CallEnded where it has ended meanwhile.
        """
        self._track = audio or self._track
        self._answered = True
        await self._ask("accept")
        self._step("accepted")
        await self.join()

    async def reject(self, reason: str | None = None) -> None:
        """Reject a ringing call, as its otomo. Raises ClientError."""
        await self._ask("reject", reason)

    async def hang_up(self, reason: str | None = None) -> Ended:
        """End the call, whatever state it is in. Returns once nothing of it is left. Raises ClientError."""
        if self.end is not None:
            return await self.ended()
        word = "end"
        if self.state == "ringing":
            word = "cancel" if self.role == "user" else "reject"
        try:
            await self._ask(word, reason)
        except Refused as error:
            if error.code != "INVALID_CALL_STATE":
                raise
            await self.refresh()  # it was accepted, or has ended, a moment ago
            if self.end is None:
                await self._ask("end", reason)
        if self.end is None:
            await self.refresh()
        return await self.ended()

    async def mute(self, muted: bool = True) -> None:
        """Mute, or unmute: send silence, and tell the server and the other party. Raises ClientError."""
        self._muted = muted
        if self._sound is not None:
            await self._sound.following.mute(muted=muted)

    def set_microphone(self, audio: MediaStreamTrack | None) -> None:
        """Send another track from now on. The former one is stopped."""
        self._track = audio
        if self._sound is not None:
            self._sound.microphone.change(audio)

    async def join(self, audio: MediaStreamTrack | None = None) -> None:
        """Take part in an accepted call, with this client. Returns once both directions are set up.

        Raises ClientError: CallEnded where it is over.
        """
        if audio is not None:
            self.set_microphone(audio)
        sound = self._begin()
        over = asyncio.create_task(self._over.wait(), name=f"the end of {self.id}")
        ready = sound.following.ready
        try:
            await asyncio.wait((over, ready), timeout=SET_UP_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
        finally:
            over.cancel()
            await asyncio.wait([over])
        if self.end is not None:
            raise CallEnded(self.end.reason)
        if ready.done():
            ready.result()

    # What can be seen

    @property
    def state(self) -> CallState:
        return self._course.state

    @property
    def is_muted(self) -> bool:
        return self._muted

    @property
    def is_remote_muted(self) -> bool:
        return self._remote_muted

    @property
    def media_epoch(self) -> int:
        """The epoch of the room whose sound is set up; 0 before there is one."""
        return self._sound.following.epoch if self._sound else 0

    @property
    def remote_track(self) -> Loudspeaker:
        """The other party's sound, as one track from the beginning to the end. Raises CallEnded where there is no
        sound."""
        if self._sound is None:
            raise CallEnded(self.end.reason if self.end else "it was not accepted yet")
        return self._sound.loudspeaker

    @property
    def level(self) -> float:
        """RMS of the sound that is sent at this moment, 0 to 1 of full scale."""
        return self._sound.microphone.level if self._sound else 0.0

    @property
    def remote_level(self) -> float:
        """RMS of the sound that is received at this moment, 0 to 1 of full scale."""
        return self._sound.loudspeaker.level if self._sound else 0.0

    @property
    def quality(self) -> Quality:
        """How the other party sounds, in a word."""
        return self._sound.quality if self._sound else "unknown"

    async def stats(self) -> CallStats:
        """What was sent and received in the room of this moment."""
        return await self._sound.stats() if self._sound else CallStats()

    def reception_state(self) -> str:
        """The state of the receiving transport, for people: "ICE completed, DTLS connected"."""
        room = self._sound.following.now if self._sound else None
        return "nothing is received" if room is None or room.reception is None else room.reception.handler.state()

    # What the client tells

    def take(self, event: str, payload: dict[str, Any]) -> None:
        """Take an event of the server that names this call."""
        if event == "call_accepted" and self.role == "otomo" and not self._answered:
            self._note_taken()
        elif event in TOLD:
            name, shape, step = TOLD[event]
            self._tell(name, read(shape, payload, event), step)
        elif event == "media_moved":
            self.check()
        elif event in ("producer_added", "producer_removed"):
            self._note_producer(read(ProducerNotice, payload, event), added=event == "producer_added")
        elif event in ("producer_paused", "producer_resumed"):
            self._note_pause(read(ProducerNotice, payload, event), paused=event == "producer_paused")
        if event == "call_accepted" and self.role == "user" and self.end is None:
            self._begin()

    def check(self) -> None:
        """Ask the server for the call's state, because an event may have been missed."""
        if self._sound is not None:
            self._sound.following.check()

    async def refresh(self) -> None:
        """Read the call's record from the server. Raises ClientError."""
        await self._ask_state()

    async def leave(self) -> None:
        """Close the sound on this side; at the server the call goes on."""
        if self._sound is not None:
            self._sound.stop()
            await self._sound.closed()
        self._events.close()
        await self._events.quiet()

    def _begin(self) -> Sound:
        """Start the sound, without waiting for it: failures are tried again as long as the call lives."""
        if self.end is not None:
            raise CallEnded(self.end.reason)
        if self._sound is None:
            from voiceplane.client.following import Hooks
            from voiceplane.client.sound import Sound

            hooks = Hooks(self._device, self._ask_state, self._note_move, self._note_taken)
            told = (self._note_silence, self._note_quality)
            self._sound = Sound(self._api, self.id, self.role, self._track, hooks, self._offered, *told)
            self._sound.microphone.muted = self._muted
        return self._sound

    async def _ask_state(self) -> CallRecord:
        """Take what `GET /calls/{callId}` says, where an event was missed. Raises ClientError."""
        answered = self._course.ask()
        record = await self._api.call(self.id)
        self._see(record, answered(record.state))
        return record

    def _see(self, record: CallRecord, state: CallState) -> None:
        self.record = record
        if state == "ended" and self.state != "ended":
            reason, seconds = record.end_reason or "unknown", record.duration_seconds or 0
            end = Ended(
                reason=reason,
                duration_seconds=seconds,
                total_charged_points=record.billed_points,
                ended_at=record.ended_at,
            )
            self._tell("ended", end, "ended")
            return
        accepted = self.state == "ringing" and state != "ringing"
        self._set(state)
        if accepted and self.role == "user":
            self._begin()

    def _note_move(self, epoch: int) -> None:
        self._tell("moved", Moved(media_epoch=epoch), None)

    def _note_taken(self) -> None:
        """The same person has it in another client: here it is over, and there it goes on."""
        self._tell("ended", Ended(reason=ELSEWHERE), "ended")

    def _note_silence(self, seconds: float) -> None:
        self._tell("silentmicrophone", SilentMicrophone(seconds=seconds), None)

    def _note_quality(self, word: Quality, mos: float | None) -> None:
        self._tell("quality", QualityChanged(quality=word, mos=mos), None)

    def _note_producer(self, notice: ProducerNotice, *, added: bool) -> None:
        if notice.source is not None and added:
            self._offered[notice.producer_id] = notice.media_epoch or 1
        elif notice.source is not None:
            self._offered.pop(notice.producer_id, None)
        if added and self._sound is not None:
            self._sound.following.heed(notice)

    def _note_pause(self, notice: ProducerNotice, *, paused: bool) -> None:
        if notice.role != self.role and notice.source is None and paused != self._remote_muted:
            self._remote_muted = paused
            if self._sound is not None:
                self._sound.is_remote_muted = paused
            self._tell("remotemuted", RemoteMuted(muted=paused), None)

    def _step(self, step: Step) -> None:
        self._set(self._course.told(step))

    def _set(self, state: CallState) -> None:
        if state != self.state:
            self._course.state = state
            self._events.tell("state", StateChanged(state=state))

    def _tell(self, name: str, event: CallEvent, step: Step | None) -> None:
        if self.end is not None:
            return
        if isinstance(event, Ended):
            self.end = event
            if self._sound is not None:
                self._sound.stop()
        if step is not None:
            self._step(step)
        self._events.tell(name, event)
        if self.end is not None:
            self._events.close()
            self._over.set()

    async def _ask(self, word: str, reason: str | None = None) -> None:
        body = None if reason is None else {"reason": reason}
        await self._api.patiently("POST", f"/calls/{self.id}/{word}", body, for_s=TRY_FOR_S)
