"""A transport for plain RTP or SRTP without ICE and DTLS: recorders, gateways, test senders."""

from __future__ import annotations

from typing import cast

from worker_bridge.channel import Body
from worker_bridge.connectivity import SrtpParameters, TransportTuple
from worker_bridge.connectivity_fbs import srtp_from_fbs, srtp_to_fbs, tuple_from_fbs
from worker_bridge.dump_shapes import PlainTransportDump
from worker_bridge.endpoint_transport import EndpointTransport
from worker_bridge.event_names import PlainTransportEvent, names_of


class PlainTransport(EndpointTransport[PlainTransportEvent]):
    """Events: ``tuple(tuple)`` and ``rtcptuple(tuple)`` when a comedia transport has met its peer, and a transport's
    own."""

    known_events = names_of(PlainTransportEvent)
    type = "plain"
    stats_type = "plain-rtp-transport"

    tuple: TransportTuple
    rtcp_tuple: TransportTuple | None
    srtp_parameters: SrtpParameters | None

    async def connect(
        self,
        *,
        ip: str | None = None,
        port: int | None = None,
        rtcp_port: int | None = None,
        srtp_parameters: SrtpParameters | None = None,
    ) -> None:
        """Where the peer is; a comedia transport learns it by itself and needs SRTP parameters at most. Once only."""
        body = {"ip": ip, "port": port, "rtcp_port": rtcp_port, "srtp_parameters": srtp_to_fbs(srtp_parameters)}
        answer = await self._request("PLAINTRANSPORT_CONNECT", body)
        if answer.get("tuple"):
            self.tuple = tuple_from_fbs(answer["tuple"])
        if answer.get("rtcp_tuple"):
            self.rtcp_tuple = tuple_from_fbs(answer["rtcp_tuple"])
        if answer.get("srtp_parameters"):
            self.srtp_parameters = srtp_from_fbs(answer["srtp_parameters"])

    async def dump(self) -> PlainTransportDump:
        return cast(PlainTransportDump, await super().dump())

    def _created(self, dump: Body) -> None:
        super()._created(dump)
        self.tuple = tuple_from_fbs(dump["tuple"])
        self.rtcp_tuple = tuple_from_fbs(dump["rtcp_tuple"]) if dump["rtcp_tuple"] else None
        self.srtp_parameters = srtp_from_fbs(dump["srtp_parameters"])

    def _notified(self, event: str, body: Body) -> None:
        match event:
            case "PLAINTRANSPORT_TUPLE":
                self.tuple = tuple_from_fbs(body["tuple"])
                self._emit("tuple", self.tuple)
            case "PLAINTRANSPORT_RTCP_TUPLE":
                self.rtcp_tuple = tuple_from_fbs(body["tuple"])
                self._emit("rtcptuple", self.rtcp_tuple)
            case _:
                super()._notified(event, body)
