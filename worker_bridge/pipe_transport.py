"""A transport between two routers: whole producers, all their streams and layers, over plain RTP or SRTP."""

from __future__ import annotations

import secrets
from typing import cast

from worker_bridge import ortc
from worker_bridge.channel import Body
from worker_bridge.connectivity import SrtpParameters, TransportTuple
from worker_bridge.connectivity_fbs import srtp_from_fbs, srtp_to_fbs, tuple_from_fbs
from worker_bridge.consumer import Consumer
from worker_bridge.dump_shapes import PipeTransportDump
from worker_bridge.resource import AppData
from worker_bridge.rtp import RtcpParameters, RtpParameters
from worker_bridge.transport import Transport


class PipeTransport(Transport):
    """One end of a pipe; ``Router.pipe_to_router`` makes and connects both. Events: a transport's own."""

    type = "pipe"
    stats_type = "pipe-transport"
    assumed_encodings = ()

    tuple: TransportTuple
    srtp_parameters: SrtpParameters | None
    rtx: bool

    async def connect(self, *, ip: str, port: int, srtp_parameters: SrtpParameters | None = None) -> None:
        """Where the other end is; ``srtp_parameters`` are the other end's, where both have SRTP. Once only."""
        body = {"ip": ip, "port": port, "srtp_parameters": srtp_to_fbs(srtp_parameters)}
        self.tuple = tuple_from_fbs((await self._request("PIPETRANSPORT_CONNECT", body))["tuple"])

    async def consume(self, producer_id: str, *, app_data: AppData | None = None) -> Consumer:
        """Send a producer of this router to the other one, every stream of it. Raises NotFound where the router has
        none of that id."""
        producer = self._producer(producer_id)
        parameters = ortc.pipe_consumer_parameters(producer.consumable_rtp_parameters, enable_rtx=self.rtx)
        return await self._consume(producer, parameters, "pipe", {}, app_data)

    def _rtcp_of(self, parameters: RtpParameters) -> RtcpParameters:
        """The streams of a pipe come from many sources, which keep their own CNAMEs (RFC 3550 §6.5.1)."""
        return parameters.rtcp if parameters.rtcp.cname else RtcpParameters(secrets.token_hex(4))

    async def dump(self) -> PipeTransportDump:
        return cast(PipeTransportDump, await super().dump())

    def _created(self, dump: Body) -> None:
        super()._created(dump)
        self.tuple = tuple_from_fbs(dump["tuple"])
        self.srtp_parameters = srtp_from_fbs(dump["srtp_parameters"])
        self.rtx = dump["rtx"]
