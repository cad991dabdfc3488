"""A producer taken into a router: what the worker is told of it, and what its consumers will be offered.

The rules are those of ``ortc``, in its order. What depends on codecs, header extensions and router alone is put
together once for a browser version, down to its form on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass

from worker_bridge import ortc, rtp_wire
from worker_bridge._codec import Shared
from worker_bridge.fitting import Codecs, Extensions, random_ssrc
from worker_bridge.memo import remembered
from worker_bridge.ortc_validate import completed
from worker_bridge.rtp import (
    MediaKind,
    RtcpParameters,
    RtpCapabilities,
    RtpEncodingParameters,
    RtpParameters,
)
from worker_bridge.rtp_wire import Wire


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    codecs: Codecs
    consumable: ortc.Consumable
    codecs_wire: Shared
    extensions_wire: Shared
    mapping_wire: Shared


@remembered
def _plan(codecs: Codecs, extensions: Extensions, caps: RtpCapabilities) -> _Plan:
    mapped = ortc.map_codecs(codecs, caps)
    return _Plan(
        mapped.codecs,
        ortc.consumable_parts(mapped.codecs, extensions, mapped.mapping, caps),
        Shared(rtp_wire.codecs_to_wire(mapped.codecs)),
        Shared(rtp_wire.header_extensions_to_wire(extensions)),
        Shared(rtp_wire.mapped_codecs_to_wire(mapped.mapping)),
    )


class Intake:
    """``parameters`` are the producer's, validated; its streams' SSRCs in the router are random."""

    __slots__ = ("_consumable", "_mapped_ssrc", "_plan", "parameters")

    def __init__(self, parameters: RtpParameters, caps: RtpCapabilities) -> None:
        """``parameters`` are validated. Raises Unsupported for a codec that the router lacks."""
        plan = _plan(parameters.codecs, parameters.header_extensions, caps)
        if plan.codecs is not parameters.codecs:
            parameters = RtpParameters(
                plan.codecs,
                parameters.header_extensions,
                parameters.encodings,
                parameters.rtcp,
                parameters.mid,
                parameters.msid,
            )
        self.parameters = parameters
        self._plan = plan
        self._mapped_ssrc = random_ssrc()
        self._consumable: RtpParameters | None = None

    @property
    def consumable(self) -> RtpParameters:
        """Made when the first consumer asks: many a producer has none."""
        if self._consumable is None:
            first = self._mapped_ssrc
            ssrcs = range(first, first + len(self.parameters.encodings))
            self._consumable = self._plan.consumable.of(self.parameters, ssrcs)
        return self._consumable

    def parameters_wire(self) -> Wire:
        """``FBS.RtpParameters.RtpParameters``, parts of it shared: not to be changed."""
        return rtp_wire.with_codecs(self._plan.codecs_wire, self._plan.extensions_wire, self.parameters)

    def mapping_wire(self) -> Wire:
        """``FBS.RtpParameters.RtpMapping``, parts of it shared: not to be changed."""
        mapped = self._mapped_ssrc
        encodings = [
            {"rid": encoding.rid, "ssrc": encoding.ssrc, "mapped_ssrc": mapped + index}
            for index, encoding in enumerate(self.parameters.encodings)
        ]
        return {"codecs": self._plan.mapping_wire, "encodings": encodings}


def take_in(
    kind: MediaKind,
    params: RtpParameters,
    caps: RtpCapabilities,
    encodings: tuple[RtpEncodingParameters, ...],
    rtcp: RtcpParameters,
) -> Intake:
    """``params`` with ``encodings`` and ``rtcp`` in place of their own, into a router of ``caps``.

    Raises InvalidParameters and Unsupported as ``ortc.validate_parameters`` and ``ortc.producer_mapping`` do.
    """
    return Intake(completed(params, kind, encodings, rtcp), caps)
