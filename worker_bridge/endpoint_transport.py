"""A transport whose far end is an endpoint: what it is sent has to be fitted to what it can take."""

from __future__ import annotations

from msgspec.structs import replace

from worker_bridge import ortc
from worker_bridge.channel import Channel
from worker_bridge.checks import instance, short_text
from worker_bridge.consumer import Consumer, ConsumerLayers, layers_to_fbs
from worker_bridge.event_names import AnyTransportEvent
from worker_bridge.resource import AppData
from worker_bridge.rtp import RtpCapabilities
from worker_bridge.transport import RouterContext, Transport

LAST_MID = 100_000_000  # consumers' mids count up to here and start again


class EndpointTransport(Transport[AnyTransportEvent]):
    """A transport whose far end is an endpoint that takes what it can, not a router that takes all."""

    def __init__(self, transport_id: str, channel: Channel, router: RouterContext) -> None:
        super().__init__(transport_id, channel, router)
        self._next_mid = 0

    async def consume(
        self,
        producer_id: str,
        rtp_capabilities: RtpCapabilities,
        *,
        paused: bool = False,
        mid: str | None = None,
        preferred_layers: ConsumerLayers | None = None,
        enable_rtx: bool | None = None,
        ignore_dtx: bool = False,
        pipe: bool = False,
        app_data: AppData | None = None,
    ) -> Consumer:
        """Send a producer of this router to the far end, as far as its capabilities go.

        ``mid`` is found by counting where none is given. ``preferred_layers`` are the highest where none are given.
        RTX is on for video unless told otherwise. ``ignore_dtx`` leaves out Opus's packets of silence. With ``pipe``,
        all streams of a simulcast producer go out as they are, and no MID.

        Raises NotFound where the router has no such producer, Unsupported where no codec matches, InvalidParameters
        where the capabilities are wrong; the rest as ``produce``.
        """
        producer = self._producer(producer_id)
        rtx = producer.kind == "video" if enable_rtx is None else enable_rtx
        instance("enable_rtx", rtx, bool)
        instance("pipe", pipe, bool)
        parameters = ortc.consumer_parameters(
            producer.consumable_rtp_parameters, rtp_capabilities, pipe=pipe, enable_rtx=rtx
        )
        if not pipe:
            mid = self._take_mid() if mid is None else short_text("mid", mid)
            parameters = replace(parameters, mid=mid)
        options = {
            "paused": paused,
            "preferred_layers": None if preferred_layers is None else layers_to_fbs(preferred_layers),
            "ignore_dtx": ignore_dtx,
        }
        consumer_type = "pipe" if pipe else producer.type
        return await self._consume(producer, parameters, consumer_type, options, app_data)

    def _take_mid(self) -> str:
        mid, self._next_mid = self._next_mid, (self._next_mid + 1) % LAST_MID
        return str(mid)
