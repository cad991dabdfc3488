"""A transport for plain RTP or SRTP without ICE and DTLS: recorders, gateways, test senders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from worker_bridge.channel import Body, Channel
from worker_bridge.connectivity import TransportTuple
from worker_bridge.transport import RouterSide, Transport
from worker_bridge.wire import tuple_from_wire

SrtpCryptoSuite = Literal["AEAD_AES_256_GCM", "AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"]


@dataclass(frozen=True, slots=True)
class SrtpParameters:
    """RFC 4568 §6: the suite, and its key and salt together in base64."""

    crypto_suite: SrtpCryptoSuite
    key_base64: str


class PlainTransport(Transport):
    """Events: ``tuple(tuple)`` and ``rtcptuple(tuple)`` when a comedia transport has met its peer, and a transport's
    own."""

    stats_type = "plain-rtp-transport"

    tuple: TransportTuple
    rtcp_tuple: TransportTuple | None
    srtp_parameters: SrtpParameters | None

    def __init__(self, transport_id: str, channel: Channel, router: RouterSide) -> None:
        super().__init__(transport_id, channel, router)

    async def connect(
        self,
        *,
        ip: str | None = None,
        port: int | None = None,
        rtcp_port: int | None = None,
        srtp_parameters: SrtpParameters | None = None,
    ) -> None:
        """Where the peer is; a comedia transport learns it by itself and needs SRTP parameters at most."""
        srtp = srtp_parameters and {
            "crypto_suite": srtp_parameters.crypto_suite,
            "key_base64": srtp_parameters.key_base64,
        }
        body = {"ip": ip, "port": port, "rtcp_port": rtcp_port, "srtp_parameters": srtp}
        answer = await self._request("PLAINTRANSPORT_CONNECT", body)
        if answer.get("tuple"):
            self.tuple = tuple_from_wire(answer["tuple"])
        if answer.get("rtcp_tuple"):
            self.rtcp_tuple = tuple_from_wire(answer["rtcp_tuple"])
        if answer.get("srtp_parameters"):
            self.srtp_parameters = SrtpParameters(**answer["srtp_parameters"])

    def _created(self, dump: Body) -> None:
        self.tuple = tuple_from_wire(dump["tuple"])
        self.rtcp_tuple = tuple_from_wire(dump["rtcp_tuple"]) if dump["rtcp_tuple"] else None
        self.srtp_parameters = SrtpParameters(**dump["srtp_parameters"]) if dump["srtp_parameters"] else None

    def _notified(self, event: str, body: Body) -> None:
        match event:
            case "PLAINTRANSPORT_TUPLE":
                self.tuple = tuple_from_wire(body["tuple"])
                self._emit("tuple", self.tuple)
            case "PLAINTRANSPORT_RTCP_TUPLE":
                self.rtcp_tuple = tuple_from_wire(body["tuple"])
                self._emit("rtcptuple", self.rtcp_tuple)
            case _:
                super()._notified(event, body)
