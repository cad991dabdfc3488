"""Bodies of RTC-04 and of the list of a room's producers."""

from __future__ import annotations

from msgspec.structs import force_setattr, replace

from schemas.base import Answer, Body
from schemas.types import UINT32_MAX, CallId, Name, PartyRole, Uuid
from worker_bridge.rtp import MediaKind, RtpEncodingParameters, RtpParameters


class ProduceRequest(Body, frozen=True):
    """What a party begins to send. Whether the node takes ``kind`` is not checked here."""

    call_id: CallId
    transport_id: Uuid
    kind: MediaKind
    rtp_parameters: RtpParameters

    def __post_init__(self) -> None:
        """An SSRC of 0 counts as left out where there is a MID, which identifies the stream; else it is refused."""
        encodings = self.rtp_parameters.encodings
        for index, one in enumerate(encodings):
            if one.ssrc != 0 and (one.rtx is None or one.rtx.ssrc != 0):
                continue
            if not self.rtp_parameters.mid:
                unset = "ssrc" if one.ssrc == 0 else "rtx.ssrc"
                raise ValueError(f"rtpParameters.encodings.{index}.{unset}: must be 1 to {UINT32_MAX}")
            known_by_mid = replace(self.rtp_parameters, encodings=tuple(map(_without_unset_ssrcs, encodings)))
            force_setattr(self, "rtp_parameters", known_by_mid)
            return


def _without_unset_ssrcs(encoding: RtpEncodingParameters) -> RtpEncodingParameters:
    return replace(encoding, ssrc=encoding.ssrc or None, rtx=encoding.rtx if encoding.rtx_ssrc else None)


class ProducerCreated(Answer, frozen=True):
    producer_id: Uuid


class ListedProducer(Answer, frozen=True):
    producer_id: Uuid
    user_id: Name
    role: PartyRole
    kind: MediaKind
    paused: bool


class ProducerList(Answer, frozen=True):
    producers: tuple[ListedProducer, ...]
