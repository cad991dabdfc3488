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


# Names that come together wherever they come, and bring the same.
Close = Literal["close"]
Pausing = Literal["pause", "resume"]
Tracing = Literal["trace"]
WorkerClose = Literal["workerclose"]
RouterClose = Literal["routerclose"]
TransportClose = Literal["transportclose"]
ListenServerClose = Literal["listenserverclose"]
SubprocessClose = Literal["subprocessclose"]
Died = Literal["died"]
NewRouter = Literal["newrouter"]
NewWebRtcServer = Literal["newwebrtcserver"]
NewTransport = Literal["newtransport"]
NewRtpObserver = Literal["newrtpobserver"]
NewProducer = Literal["newproducer"]
NewConsumer = Literal["newconsumer"]
NewDataProducer = Literal["newdataproducer"]
NewDataConsumer = Literal["newdataconsumer"]
Handling = Literal["webrtctransporthandled", "webrtctransportunhandled"]
IceChange = Literal["icestatechange"]
DtlsChange = Literal["dtlsstatechange"]
SctpChange = Literal["sctpstatechange"]
SelectedTuple = Literal["iceselectedtuplechange"]
Tuples = Literal["rtcptuple", "tuple"]
Rtcp = Literal["rtcp"]
Rtp = Literal["rtp"]
Score = Literal["score"]
Orientation = Literal["videoorientationchange"]
LayersChange = Literal["layerschange"]
SourceChange = Literal["producerclose", "producerpause", "producerresume"]
DataSourceChange = Literal["dataproducerclose", "dataproducerpause", "dataproducerresume"]
SendBufferFull = Literal["sctpsendbufferfull"]
AmountLow = Literal["bufferedamountlow"]
MessageEvent = Literal["message"]
Observing = Literal["addproducer", "removeproducer"]
Dominant = Literal["dominantspeaker"]
Volumes = Literal["volumes"]
Silence = Literal["silence"]

ResourceEvent = Close
PausableEvent = Literal[ResourceEvent, Pausing]
CarriedEvent = Literal[PausableEvent, TransportClose]
WorkerEvent = Literal[Close, Died, NewRouter, NewWebRtcServer, SubprocessClose]
BridgeEvent = Literal["newworker"]
WebRtcServerEvent = Literal[ResourceEvent, Handling, WorkerClose]
RouterEvent = Literal[ResourceEvent, NewRtpObserver, NewTransport, WorkerClose]
NewOnTransport = Literal[NewConsumer, NewDataConsumer, NewDataProducer, NewProducer]
TransportEvent = Literal[ResourceEvent, ListenServerClose, NewOnTransport, RouterClose, SctpChange, Tracing]
DirectTransportEvent = Literal[TransportEvent, Rtcp]
PlainTransportEvent = Literal[TransportEvent, Tuples]
WebRtcTransportEvent = Literal[TransportEvent, DtlsChange, SelectedTuple, IceChange]
ProducerEvent = Literal[CarriedEvent, Score, Tracing, Orientation]
ConsumerEvent = Literal[CarriedEvent, LayersChange, SourceChange, Rtp, Score, Tracing]
DataProducerEvent = CarriedEvent
DataConsumerEvent = Literal[CarriedEvent, AmountLow, DataSourceChange, MessageEvent, SendBufferFull]
RtpObserverEvent = Literal[PausableEvent, Observing, RouterClose]
ActiveSpeakerObserverEvent = Literal[RtpObserverEvent, Dominant]
AudioLevelObserverEvent = Literal[RtpObserverEvent, Silence, Volumes]

AnyEvent = TypeVar("AnyEvent", bound=str, contravariant=True, default=ResourceEvent)
AnyPausableEvent = TypeVar("AnyPausableEvent", bound=str, contravariant=True, default=PausableEvent)
AnyTransportEvent = TypeVar("AnyTransportEvent", bound=str, contravariant=True, default=TransportEvent)
AnyRtpObserverEvent = TypeVar("AnyRtpObserverEvent", bound=str, contravariant=True, default=RtpObserverEvent)


def names_of(literal: Any) -> frozenset[str]:
    """The names that one of the above stands for."""
    return frozenset(get_args(literal))
