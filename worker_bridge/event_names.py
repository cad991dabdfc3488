"""Which events there are, for each class that tells some: the names that may be listened to, for people, for type
checkers and at run time.

A class's docstring says what comes with each. ``error`` is pyee's own: see ``Emitter``.

The classes that are bases of others are generic in their events, so that a type checker finds a name that is wrong;
their defaults (PEP 696) make ``Transport`` alone mean one of which no more is known than that.
"""

from __future__ import annotations

import typing
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from typing_extensions import TypeVar
else:

    def TypeVar(name: str, **_: object) -> typing.TypeVar:  # noqa: N802  # defaults are for type checkers
        return typing.TypeVar(name)


ResourceEvent = Literal["close"]
PausableEvent = Literal[ResourceEvent, "pause", "resume"]
CarriedEvent = Literal[PausableEvent, "transportclose"]
WorkerEvent = Literal["close", "died", "newrouter", "newwebrtcserver", "subprocessclose"]
BridgeEvent = Literal["newworker"]
WebRtcServerEvent = Literal[ResourceEvent, "webrtctransporthandled", "webrtctransportunhandled", "workerclose"]
RouterEvent = Literal[ResourceEvent, "newrtpobserver", "newtransport", "workerclose"]
TransportEvent = Literal[
    ResourceEvent,
    "listenserverclose",
    "newconsumer",
    "newdataconsumer",
    "newdataproducer",
    "newproducer",
    "routerclose",
    "sctpstatechange",
    "trace",
]
DirectTransportEvent = Literal[TransportEvent, "rtcp"]
PlainTransportEvent = Literal[TransportEvent, "rtcptuple", "tuple"]
WebRtcTransportEvent = Literal[TransportEvent, "dtlsstatechange", "iceselectedtuplechange", "icestatechange"]
ProducerEvent = Literal[CarriedEvent, "score", "trace", "videoorientationchange"]
ConsumerEvent = Literal[
    CarriedEvent, "layerschange", "producerclose", "producerpause", "producerresume", "rtp", "score", "trace"
]
DataProducerEvent = CarriedEvent
DataConsumerEvent = Literal[
    CarriedEvent,
    "bufferedamountlow",
    "dataproducerclose",
    "dataproducerpause",
    "dataproducerresume",
    "message",
    "sctpsendbufferfull",
]
RtpObserverEvent = Literal[PausableEvent, "addproducer", "removeproducer", "routerclose"]
ActiveSpeakerObserverEvent = Literal[RtpObserverEvent, "dominantspeaker"]
AudioLevelObserverEvent = Literal[RtpObserverEvent, "silence", "volumes"]

AnyEvent = TypeVar("AnyEvent", bound=str, contravariant=True, default=ResourceEvent)
AnyPausableEvent = TypeVar("AnyPausableEvent", bound=str, contravariant=True, default=PausableEvent)
AnyTransportEvent = TypeVar("AnyTransportEvent", bound=str, contravariant=True, default=TransportEvent)
AnyRtpObserverEvent = TypeVar("AnyRtpObserverEvent", bound=str, contravariant=True, default=RtpObserverEvent)


def names_of(literal: Any) -> frozenset[str]:
    """The names that one of the above stands for."""
    return frozenset(get_args(literal))
