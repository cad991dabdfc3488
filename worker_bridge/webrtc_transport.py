"""A transport to a browser or an app: ICE-lite (RFC 8445 §2.5), DTLS-SRTP (RFC 5764), one peer."""

from __future__ import annotations

from typing import Literal, cast

from worker_bridge.channel import Body, Channel
from worker_bridge.connectivity import (
    DtlsParameters,
    DtlsState,
    IceCandidate,
    IceParameters,
    IceState,
    TransportTuple,
)
from worker_bridge.connectivity_fbs import (
    dtls_parameters_from_fbs,
    dtls_parameters_of,
    dtls_parameters_to_fbs,
    ice_candidate_from_fbs,
    ice_parameters_from_fbs,
    tuple_from_fbs,
)
from worker_bridge.dump_shapes import WebRtcTransportDump
from worker_bridge.endpoint_transport import EndpointTransport
from worker_bridge.event_names import WebRtcTransportEvent, names_of
from worker_bridge.resource import CloseReason
from worker_bridge.transport import RouterContext


class WebRtcTransport(EndpointTransport[WebRtcTransportEvent]):
    """Events: ``icestatechange(state)``, ``iceselectedtuplechange(tuple)``, ``dtlsstatechange(state)``, and a
    transport's own."""

    known_events = names_of(WebRtcTransportEvent)
    type = "webrtc"
    stats_type = "webrtc-transport"

    ice_role: Literal["controlled"] = "controlled"
    ice_parameters: IceParameters
    ice_candidates: tuple[IceCandidate, ...]
    dtls_parameters: DtlsParameters

    def __init__(self, transport_id: str, channel: Channel, router: RouterContext) -> None:
        super().__init__(transport_id, channel, router)
        self.ice_state: IceState = "new"
        self.ice_selected_tuple: TransportTuple | None = None
        self.dtls_state: DtlsState = "new"
        self.dtls_remote_cert: str | None = None

    @property
    def connected(self) -> bool:
        """Both ICE and DTLS are up: media can flow."""
        return self.dtls_state == "connected" and self.ice_state in ("connected", "completed")

    async def connect(self, dtls_parameters: DtlsParameters) -> None:
        """Tell the worker the far end's DTLS parameters; once only (RequestRefused), but a refused try may be repeated.

        The worker takes the role that the far end does not: client for ``server`` and ``auto``, server for ``client``.
        """
        body = {"dtls_parameters": dtls_parameters_to_fbs(dtls_parameters)}
        answer = await self._request("WEBRTCTRANSPORT_CONNECT", body)
        self.dtls_parameters = dtls_parameters_of(self.dtls_parameters.fingerprints, answer["dtls_local_role"])

    async def restart_ice(self) -> IceParameters:
        """New ICE credentials; the old ones end when the far end uses these (RFC 8445 §2.4)."""
        self.ice_parameters = ice_parameters_from_fbs(await self._request("TRANSPORT_RESTART_ICE"))
        return self.ice_parameters

    async def dump(self) -> WebRtcTransportDump:
        return cast(WebRtcTransportDump, await super().dump())

    def _created(self, dump: Body) -> None:
        super()._created(dump)
        self.ice_parameters = ice_parameters_from_fbs(dump["ice_parameters"])
        self.ice_candidates = tuple([ice_candidate_from_fbs(candidate) for candidate in dump["ice_candidates"]])
        self.dtls_parameters = dtls_parameters_from_fbs(dump["dtls_parameters"])

    def _close(self, reason: CloseReason, *, event: str = "", tell: bool = False) -> None:
        self.ice_state, self.dtls_state, self.ice_selected_tuple = "closed", "closed", None
        super()._close(reason, event=event, tell=tell)

    def _notified(self, event: str, body: Body) -> None:
        match event:
            case "WEBRTCTRANSPORT_ICE_STATE_CHANGE":
                self.ice_state = body["ice_state"].lower()
                self._emit("icestatechange", self.ice_state)
            case "WEBRTCTRANSPORT_ICE_SELECTED_TUPLE_CHANGE":
                self.ice_selected_tuple = tuple_from_fbs(body["tuple"])
                self._emit("iceselectedtuplechange", self.ice_selected_tuple)
            case "WEBRTCTRANSPORT_DTLS_STATE_CHANGE":
                self.dtls_state = body["dtls_state"].lower()
                if self.dtls_state == "connected":
                    self.dtls_remote_cert = body["remote_cert"]
                self._emit("dtlsstatechange", self.dtls_state)
            case _:
                super()._notified(event, body)
