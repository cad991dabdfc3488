"""A room's media: transports that can hear each other's producers."""

from __future__ import annotations

import logging

from worker_bridge import ortc
from worker_bridge.channel import Body, Channel
from worker_bridge.connectivity import ListenInfo
from worker_bridge.errors import InvalidParameters, Misuse
from worker_bridge.plain_transport import PlainTransport, SrtpCryptoSuite
from worker_bridge.producer import Producer
from worker_bridge.resource import AppData, Resource, new_id
from worker_bridge.rtp import RtpCapabilities
from worker_bridge.rtp_observer import ActiveSpeakerObserver, AudioLevelObserver, RtpObserver, audio_level_options
from worker_bridge.transport import RouterSide
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.webrtc_transport import WebRtcTransport
from worker_bridge.wire import listen_info_to_wire, transport_options_to_wire

INITIAL_OUTGOING_BITRATE = 600_000  # bits per second, until bandwidth estimation knows better
ICE_CONSENT_TIMEOUT_S = 30  # RFC 7675 §5.1

logger = logging.getLogger(__name__)


class Router(Resource):
    """Events: ``newtransport(transport)``, ``newrtpobserver(observer)``, ``workerclose()``, ``close(reason)``."""

    row = "router"

    def __init__(self, router_id: str, channel: Channel, rtp_capabilities: RtpCapabilities) -> None:
        super().__init__(router_id, channel, "")
        self.rtp_capabilities = rtp_capabilities
        self.producers: dict[str, Producer] = {}

    async def create_webrtc_transport(
        self,
        listen: WebRtcServer | list[ListenInfo],
        *,
        ice_consent_timeout_s: int = ICE_CONSENT_TIMEOUT_S,
        initial_available_outgoing_bitrate: int = INITIAL_OUTGOING_BITRATE,
        app_data: AppData | None = None,
    ) -> WebRtcTransport:
        """A transport on a server's shared port, or on sockets of its own. ``ice_consent_timeout_s`` 0 turns it off."""
        self._require_open()
        if not isinstance(listen, WebRtcServer):
            if not listen:
                raise InvalidParameters("a transport needs a server or something to listen on")
            method, listen_type = "ROUTER_CREATE_WEBRTCTRANSPORT", "ListenIndividual"
            where: Body = {"listen_infos": [listen_info_to_wire(info) for info in listen]}
        else:
            listen._require_open()
            method, listen_type = "ROUTER_CREATE_WEBRTCTRANSPORT_WITH_SERVER", "ListenServer"
            where = {"web_rtc_server_id": listen.id}
        transport = WebRtcTransport(new_id(), self._channel, self._side())
        options = {
            "base": transport_options_to_wire(initial_available_outgoing_bitrate=initial_available_outgoing_bitrate),
            "listen_type": listen_type,
            "listen": where,
            "enable_udp": True,
            "enable_tcp": True,
            "prefer_udp": True,
            "ice_consent_timeout": ice_consent_timeout_s,
        }
        if isinstance(listen, WebRtcServer):
            listen._adopt(transport)
        body = {"transport_id": transport.id, "options": options}
        transport._created(await self._create(transport, method, body, app_data=app_data))
        self._emit("newtransport", transport)
        if isinstance(listen, WebRtcServer):
            listen._carries(transport)
        return transport

    async def create_plain_transport(
        self,
        listen_info: ListenInfo,
        *,
        rtcp_listen_info: ListenInfo | None = None,
        rtcp_mux: bool = True,
        comedia: bool = False,
        srtp_crypto_suite: SrtpCryptoSuite | None = None,
        app_data: AppData | None = None,
    ) -> PlainTransport:
        """A transport without ICE. ``comedia`` learns the peer's address from its first packet (RFC 4145 §4 in spirit);
        a crypto suite turns SRTP on; a socket for RTCP alone turns RTP and RTCP multiplexing (RFC 5761) off."""
        if listen_info.protocol != "udp":
            raise InvalidParameters("a plain transport listens on udp only")
        transport = PlainTransport(new_id(), self._channel, self._side())
        options = {
            "base": transport_options_to_wire(initial_available_outgoing_bitrate=None),
            "listen_info": listen_info_to_wire(listen_info),
            "rtcp_listen_info": listen_info_to_wire(rtcp_listen_info) if rtcp_listen_info else None,
            "rtcp_mux": rtcp_mux and rtcp_listen_info is None,
            "comedia": comedia,
            "enable_srtp": srtp_crypto_suite is not None,
            "srtp_crypto_suite": srtp_crypto_suite,
        }
        body = {"transport_id": transport.id, "options": options}
        transport._created(await self._create(transport, "ROUTER_CREATE_PLAINTRANSPORT", body, app_data=app_data))
        self._emit("newtransport", transport)
        return transport

    async def create_active_speaker_observer(
        self, *, interval_ms: int = 300, app_data: AppData | None = None
    ) -> ActiveSpeakerObserver:
        """Who speaks most, looked at every ``interval_ms`` (the worker takes 100 to 5000 of it)."""
        observer = ActiveSpeakerObserver(new_id(), self._channel, self._side())
        options = {"interval": interval_ms}
        await self._create_observer(observer, "ROUTER_CREATE_ACTIVESPEAKEROBSERVER", options, app_data)
        return observer

    async def create_audio_level_observer(
        self,
        *,
        max_entries: int = 1,
        threshold: int = -80,
        interval_ms: int = 1000,
        app_data: AppData | None = None,
    ) -> AudioLevelObserver:
        """How loud the ``max_entries`` loudest producers are of those at ``threshold`` dBov (-127 to 0) or over, on
        average of ``interval_ms`` (the worker takes 250 to 5000 of it)."""
        options = audio_level_options(max_entries, threshold, interval_ms)
        observer = AudioLevelObserver(new_id(), self._channel, self._side())
        await self._create_observer(observer, "ROUTER_CREATE_AUDIOLEVELOBSERVER", options, app_data)
        return observer

    def can_consume(self, producer_id: str, rtp_capabilities: RtpCapabilities) -> bool:
        """Whether an endpoint with these capabilities can receive that producer. Never raises."""
        producer = self.producers.get(producer_id)
        if producer is None:
            return False
        try:
            capabilities = ortc.validate_capabilities(rtp_capabilities)
            return ortc.can_consume(producer.consumable_rtp_parameters, capabilities)
        except Misuse as error:
            logger.debug("%r: capabilities refused: %s", self, error)
            return False

    async def dump(self) -> Body:
        return await self._request("ROUTER_DUMP")

    async def _create_observer(
        self, observer: RtpObserver, method: str, options: Body, app_data: AppData | None
    ) -> None:
        body = {"rtp_observer_id": observer.id, "options": options}
        await self._create(observer, method, body, app_data=app_data)
        self._emit("newrtpobserver", observer)

    def _side(self) -> RouterSide:
        return RouterSide(self.id, self.rtp_capabilities, self.producers)
