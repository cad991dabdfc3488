"""Opens rooms, on the worker that ``place`` chooses."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

from app.errors import WorkerUnavailable
from app.media.party_objects import RoomLimits
from app.media.room import Room
from app.person import Parties
from worker_bridge.errors import ResourceClosed, WorkerGone
from worker_bridge.pool import Slot
from worker_bridge.rtp import RtpCodecCapability


class Rooms:
    """``place`` returns the slot for the next room, or raises WorkerGone; ``index`` finds a room by the id of any
    object in it."""

    def __init__(
        self,
        place: Callable[[], Slot],
        codecs: tuple[RtpCodecCapability, ...],
        limits: RoomLimits,
        index: MutableMapping[str, Room],
    ) -> None:
        self._place = place
        self._codecs = codecs
        self._limits = limits
        self._index = index

    async def open(self, call_id: str, parties: Parties, epoch: int, *, hears_itself: bool = False) -> Room:
        """``epoch`` numbers the call's rooms; ``hears_itself`` is as in ``Room``.

        Raises WorkerUnavailable where no worker can take it.
        """
        try:
            slot = self._place()
            if slot.worker is None or slot.webrtc_server is None:
                raise WorkerUnavailable(f"worker {slot.index} is restarting")
            worker, server = slot.worker, slot.webrtc_server
            router = await worker.create_router(self._codecs)
        except (WorkerGone, ResourceClosed) as error:
            raise WorkerUnavailable(str(error)) from error
        return Room(
            call_id,
            parties,
            router,
            worker.channel,
            server,
            self._limits,
            self._index,
            worker_index=slot.index,
            epoch=epoch,
            hears_itself=hears_itself,
        )
