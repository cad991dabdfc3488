"""One UDP and TCP port of a worker that all its WebRTC transports share."""

from __future__ import annotations

from typing import cast

from worker_bridge.channel import Channel
from worker_bridge.dump_shapes import WebRtcServerDump
from worker_bridge.event_names import WebRtcServerEvent, names_of
from worker_bridge.resource import Resource


class WebRtcServer(Resource[WebRtcServerEvent]):
    """Closing it closes the transports that it carries.

    Events: ``webrtctransporthandled(transport)``, ``webrtctransportunhandled(transport)``, ``workerclose()``,
    ``close(reason)``.
    """

    known_events = names_of(WebRtcServerEvent)
    resource_kind = "webrtc_server"

    def __init__(self, server_id: str, channel: Channel) -> None:
        super().__init__(server_id, channel, "")

    def handle_webrtc_transport(self, transport: Resource) -> None:
        """Tell that ``transport`` is up on our port, and when it is no more. For the router that made it."""
        self._emit("webrtctransporthandled", transport)
        transport.on_closed(self._let_go)

    def _let_go(self, transport: Resource) -> None:
        self._emit("webrtctransportunhandled", transport)

    async def dump(self) -> WebRtcServerDump:
        """Sockets, transports, and the ICE user name fragments by which packets find their transport."""
        return cast(WebRtcServerDump, await self._request("WEBRTCSERVER_DUMP"))
