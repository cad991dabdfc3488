"""Keeps one call's sound where the server has the call, whatever room that is at the moment.

When its worker or node is lost, so is the room; the call goes on, and its `mediaEpoch` rises. So the epoch is read
after `media_moved`, after every reconnection of the WebSocket, and after a 404 or 503 of a media request. Where it is
newer, both transports are made again, the microphone is produced as a new track, a mute is restored, the other party is
consumed, and only then is the old room closed on this side. One rebuild at a time.

All of it happens in one task, `run`; the other methods only note that something may have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from voiceplane.client.api import Api
from voiceplane.client.backoff import Backoff
from voiceplane.client.errors import ClientError, NoMedia, Refused
from voiceplane.client.events import CallRecord, ListedProducer, ProducerNotice

if TYPE_CHECKING:
    from pymediasoup import Device

    from voiceplane.client.audio import Loudspeaker, Microphone
    from voiceplane.client.media import Reception, RoomMedia

FIRST_RETRY_S, LONGEST_RETRY_S = 0.1, 1.0
WITH_A_ROOM = frozenset({"matched", "connecting", "talking", "interrupted"})
OF_A_MOVING_ROOM = frozenset(
    {
        "ROOM_NOT_FOUND",
        "TRANSPORT_NOT_FOUND",
        "PRODUCER_NOT_FOUND",
        "CONSUMER_NOT_FOUND",
        "PRODUCER_ALREADY_EXISTS",
        "TRANSPORT_LIMIT_EXCEEDED",
        "INVALID_CALL_STATE",
    }
)
"""How a request may be refused while the room is being replaced. The call's record then says where it is, or that it
has ended."""


@dataclass(frozen=True)
class Hooks:
    """What `Following` needs from its owner, and what it reports. Of these, `moved` and `taken` must not raise."""

    device: Callable[[], Awaitable[Device]]  # the one that all calls of a client share
    record: Callable[[], Awaitable[CallRecord]]  # asks the server for the call, and takes in what it says
    moved: Callable[[int], None]  # another room is set up: its epoch
    taken: Callable[[], None]  # the same person has the call elsewhere: the newest one wins


class InRoom:
    """What a party has in one room: its media, its producer, and what it hears."""

    def __init__(self, media: RoomMedia) -> None:
        self.media = media
        self.producer_id = ""
        self.heard_id: str | None = None  # the producer that is received
        self.reception: Reception | None = None
        self.broken = False  # the network has lost a transport
        self.beside: set[str] = set()  # producers of no party's that are received
        self._playing: asyncio.Task[None] | None = None
        self._playing_beside: set[asyncio.Task[None]] = set()

    async def hear_beside(self, producer_id: str, loudspeaker: Loudspeaker) -> None:
        """Receive this producer together with the other party. Raises ClientError."""
        reception = await self.media.receive(producer_id)
        self.beside.add(producer_id)
        playing = loudspeaker.play_beside(reception.track)
        task = asyncio.create_task(playing, name=f"what else is heard in {self.media.call_id}")
        self._playing_beside.add(task)
        task.add_done_callback(self._playing_beside.discard)

    async def hear(self, producer_id: str, loudspeaker: Loudspeaker) -> None:
        """Receive this producer in place of the one before. Raises ClientError."""
        self.reception = await self.media.receive(producer_id)
        await self._silence()
        self.heard_id = producer_id
        playing = loudspeaker.play(self.reception.track)
        self._playing = asyncio.create_task(playing, name=f"what is heard in {self.media.call_id}")

    async def close(self) -> None:
        await self._silence()
        await self._silence_beside()
        await self.media.close()

    async def _silence(self) -> None:
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.wait([self._playing])

    async def _silence_beside(self) -> None:
        for task in self._playing_beside:
            task.cancel()
        if self._playing_beside:
            await asyncio.wait(set(self._playing_beside))


class Following:
    """The media of one call. `epoch` is 0, and `now` None, before there is any. `offered` are the producers of no
    party's that may be heard, with the epochs of their rooms. They are in no list: its owner keeps them.

    `ready` is done once the sound is set up for the first time. It fails with a ClientError where trying again is no
    use.
    """

    def __init__(
        self,
        api: Api,
        call_id: str,
        role: str,
        microphone: Microphone,
        loudspeaker: Loudspeaker,
        hooks: Hooks,
        offered: dict[str, int],
    ) -> None:
        self.epoch = 0
        self.now: InRoom | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._api = api
        self._call_id = call_id
        self._role = role
        self._microphone = microphone
        self._loudspeaker = loudspeaker
        self._hooks = hooks
        self._offered = offered
        self._rooms: set[InRoom] = set()  # rooms that are not closed completely yet
        self._turn = asyncio.Lock()
        self._doubt = asyncio.Event()

    def check(self) -> None:
        """Note that there may be a newer room, or another producer in it."""
        self._doubt.set()

    def heed(self, notice: ProducerNotice) -> None:
        """Note that there is a new producer."""
        if notice.source is not None or notice.role != self._role:
            self._doubt.set()

    async def run(self) -> None:
        """Set up the sound and keep it connected, until cancelled; nothing of it is left then."""
        self._doubt.set()
        try:
            while True:
                await self._doubt.wait()
                self._doubt.clear()
                await self._catch_up()
        finally:
            await asyncio.gather(*(room.close() for room in tuple(self._rooms)))

    async def mute(self, *, muted: bool) -> None:
        """Mute or unmute, here and at the server. Raises ClientError."""
        self._microphone.muted = muted
        async with self._turn:
            if self.now is None:
                return
            try:
                await self._tell_muted(self.now.producer_id)
            except Refused as error:
                if not error.is_of_lost_media:
                    raise
                self.check()  # another room gets the mute with the microphone

    async def _catch_up(self) -> None:
        """Repeat until the sound is in the room in which the server has the call; at the first time, until that is
        known to be impossible."""
        backoff = Backoff(FIRST_RETRY_S, LONGEST_RETRY_S)
        while True:
            try:
                async with self._turn:
                    await self._follow()
            except ClientError as error:
                if not (self.now or error.is_transient or error.code in OF_A_MOVING_ROOM):
                    self._fail(error)
                    return
            else:
                return
            await asyncio.sleep(backoff.next())

    def _fail(self, error: ClientError) -> None:
        if not self.ready.done():
            self.ready.set_exception(error)
            self.ready.exception()  # whether anybody waits for it or not

    async def _follow(self) -> None:
        record = await self._hooks.record()
        if record.state not in WITH_A_ROOM:
            return
        if self.now is None or record.media_epoch > self.epoch:
            await self._rebuild(record.media_epoch)
        else:
            await self._stay(self.now)
        if not self.ready.done():
            self.ready.set_result(None)

    async def _stay(self, room: InRoom) -> None:
        """The room is the newest: receive who is new in it, or be there again where the network lost us."""
        listed = await self._api.producers(self._call_id)
        if all(one.producer_id != room.producer_id for one in listed):
            record = await self._hooks.record()  # the list may be that of a newer room
            if record.media_epoch > self.epoch:
                await self._rebuild(record.media_epoch)
            else:
                self._hooks.taken()
        elif room.broken:
            await self._rebuild(self.epoch)
        else:
            await self._hear(room, listed)

    async def _rebuild(self, epoch: int) -> None:
        former, self.now = self.now, await self._set_up()
        self.epoch = max(epoch, self.now.media.epoch)
        if former is not None:
            self._hooks.moved(self.epoch)
            await self._leave(former)

    async def _set_up(self) -> InRoom:
        """Set up the sound in a room. Raises ClientError; then nothing of it is left."""
        from voiceplane.client.media import RoomMedia

        def on_broken() -> None:
            room.broken = True
            self.check()

        room = InRoom(RoomMedia(self._api, self._call_id, await self._hooks.device(), on_broken))
        self._rooms.add(room)
        try:
            await room.media.open()
            room.producer_id = await room.media.send(self._microphone.outlet())
            if self._microphone.muted:
                await self._tell_muted(room.producer_id)
            await self._hear(room, await self._api.producers(self._call_id))
        except BaseException as error:
            await self._leave(room)
            if isinstance(error, ClientError) or not isinstance(error, Exception):
                raise
            raise NoMedia(f"the sound of {self._call_id} could not be set up: {error!r}") from error
        return room

    async def _leave(self, room: InRoom) -> None:
        await room.close()
        self._rooms.discard(room)

    async def _hear(self, room: InRoom, listed: Sequence[ListedProducer]) -> None:
        """Receive the other party, where it sends and is not received already."""
        voices = (one for one in listed if one.role != self._role and one.source is None and one.kind == "audio")
        voice = next(voices, None)
        if voice is not None and voice.producer_id != room.heard_id:
            await room.hear(voice.producer_id, self._loudspeaker)
        for producer_id, epoch in tuple(self._offered.items()):
            if epoch < room.media.epoch:
                self._offered.pop(producer_id, None)  # it went with its room
            elif producer_id not in room.beside:
                await self._hear_beside(room, producer_id)

    async def _hear_beside(self, room: InRoom, producer_id: str) -> None:
        try:
            await room.hear_beside(producer_id, self._loudspeaker)
        except Refused as error:
            if error.code != "PRODUCER_NOT_FOUND":
                raise
            self._offered.pop(producer_id, None)  # it is gone

    async def _tell_muted(self, producer_id: str) -> None:
        if self._microphone.muted:
            await self._api.pause_producer(producer_id)
        else:
            await self._api.resume_producer(producer_id)
