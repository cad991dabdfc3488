"""Which events there are, for each class that tells some: the names that may be listened to, for people, for type
checkers and at run time.

A class's docstring says what comes with each. ``error`` is pyee's own: see ``Emitter``.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

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


def names_of(literal: Any) -> frozenset[str]:
    """The names that one of the above stands for."""
    return frozenset(get_args(literal))
