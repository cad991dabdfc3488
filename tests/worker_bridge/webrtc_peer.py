"""The far end of a WebRTC transport: aiortc's ICE and DTLS without a peer connection, with RTP and RTCP as bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from aiortc import (
    RTCCertificate,
    RTCDtlsFingerprint,
    RTCDtlsParameters,
    RTCDtlsTransport,
    RTCIceCandidate,
    RTCIceGatherer,
    RTCIceParameters,
    RTCIceTransport,
)

from tests.worker_bridge.rtp_packets import Feedback, Rtp, parse_rtcp
from tests.worker_bridge.sctp_peer import Association
from worker_bridge.connectivity import DtlsFingerprint, DtlsParameters
from worker_bridge.webrtc_transport import WebRtcTransport

LOOPBACK = "127.0.0.1"
OTHER = {"client": "server", "server": "client"}


class WebRtcPeer:
    """One end of one transport. ``media`` and ``feedback`` grow with what comes."""

    def __init__(self, role: Literal["client", "server"] = "client") -> None:
        gatherer = RTCIceGatherer(iceServers=[])
        _gather_on_loopback(gatherer)
        self.ice = RTCIceTransport(gatherer)
        self.dtls = RTCDtlsTransport(self.ice, [RTCCertificate.generateCertificate()])
        self.media: list[Rtp] = []
        self.feedback: list[Feedback] = []
        self._role = role
        vars(self.dtls).update(_handle_rtp_data=self._take_media, _handle_rtcp_data=self._take_feedback)

    @classmethod
    @asynccontextmanager
    async def of(cls, transport: WebRtcTransport, role: Literal["client", "server"] = "client") -> AsyncIterator[Any]:
        """A peer that is connected to ``transport``, on ``role``'s side of DTLS, gone when the block ends."""
        peer = cls(role)
        try:
            await peer.connect(transport)
            yield peer
        finally:
            await peer.dtls.stop()
            await peer.ice.stop()

    async def connect(self, transport: WebRtcTransport) -> None:
        await transport.connect(self.dtls_parameters)
        await self.ice.iceGatherer.gather()
        self.ice._connection.ice_controlling = True
        for one in transport.ice_candidates:
            candidate = RTCIceCandidate(1, one.foundation, one.address, one.port, one.priority, one.protocol, one.type)
            await self.ice.addRemoteCandidate(candidate)
        await self.ice.addRemoteCandidate(None)
        ours = transport.ice_parameters
        await self.ice.start(RTCIceParameters(ours.username_fragment, ours.password, iceLite=True))
        self.dtls._set_role(self._role)
        prints = [
            RTCDtlsFingerprint(one.algorithm, one.value)
            for one in transport.dtls_parameters.fingerprints
            if one.algorithm == "sha-256"
        ]
        await self.dtls.start(RTCDtlsParameters(prints, OTHER[self._role]))

    @property
    def dtls_parameters(self) -> DtlsParameters:
        prints = [one for one in self.dtls.getLocalParameters().fingerprints if one.algorithm == "sha-256"]
        return DtlsParameters((DtlsFingerprint("sha-256", prints[0].value),), self._role)

    async def send(self, packet: bytes) -> None:
        """RTP or RTCP, which DTLS' keys protect on its way."""
        await self.dtls._send_rtp(packet)

    async def associate(self, transport: WebRtcTransport) -> Association:
        """Open SCTP over DTLS."""
        assert transport.sctp_parameters is not None
        association = Association(self.dtls, transport.sctp_parameters.port)
        await association.meet(transport.sctp_parameters)
        return association

    async def _take_media(self, data: bytes, arrival_time_ms: int) -> None:
        self.media.append(Rtp.parse(data))

    async def _take_feedback(self, data: bytes) -> None:
        self.feedback.extend(parse_rtcp(data))


def _gather_on_loopback(gatherer: RTCIceGatherer) -> None:
    """aioice leaves out the one address that there always is."""
    connection = gatherer._connection
    gather = connection.get_component_candidates

    async def gather_loopback(component: int, addresses: list[str]) -> Any:
        return await gather(component, [LOOPBACK])  # instead of `addresses`

    vars(connection)["get_component_candidates"] = gather_loopback
