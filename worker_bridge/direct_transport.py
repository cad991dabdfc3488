"""A transport to this process: RTP, RTCP and messages cross the worker's pipe as bytes, and no network.

In by ``Producer.send``, ``DataProducer.send`` and ``send_rtcp``; out by the events ``rtp`` of a consumer, ``message``
of a data consumer and ``rtcp`` of the transport.
"""

from __future__ import annotations

from typing import NoReturn

from worker_bridge.channel import Body
from worker_bridge.checks import octets
from worker_bridge.endpoint_transport import EndpointTransport
from worker_bridge.errors import Unsupported
from worker_bridge.event_names import DirectTransportEvent, names_of

RTCP_LIMIT = 1600  # bytes that the worker takes: an MTU and something


class DirectTransport(EndpointTransport[DirectTransportEvent]):
    """Events: ``rtcp(packet)``, as bytes, and a transport's own."""

    known_events = names_of(DirectTransportEvent)
    type = "direct"
    stats_type = "direct-transport"

    async def connect(self) -> None:
        """There is nothing to connect: it is there so that all transports can be treated alike."""
        self._require_open()

    def send_rtcp(self, packet: bytes | bytearray | memoryview) -> None:
        """Put in an RTCP packet, single or compound (RFC 3550 §6), at once and in order; nothing answers."""
        self._require_open()
        octets("packet", packet, RTCP_LIMIT)
        self._channel.notify("TRANSPORT_SEND_RTCP", self.id, {"data": packet})

    async def drain(self) -> None:
        """Wait until the worker has taken most of what was sent: call it now and then between many sends, since they
        do not wait by themselves and what waits takes memory. Raises WorkerGone where
        the worker is, or gets, closed."""
        self._require_open()
        await self._channel.drain()

    async def set_max_incoming_bitrate(self, bitrate: int) -> NoReturn:
        raise Unsupported("a direct transport has no bitrate")

    async def set_max_outgoing_bitrate(self, bitrate: int) -> NoReturn:
        raise Unsupported("a direct transport has no bitrate")

    async def set_min_outgoing_bitrate(self, bitrate: int) -> NoReturn:
        raise Unsupported("a direct transport has no bitrate")

    def _notified(self, event: str, body: Body) -> None:
        if event == "DIRECTTRANSPORT_RTCP":
            self._emit("rtcp", body["data"])
        else:
            super()._notified(event, body)
