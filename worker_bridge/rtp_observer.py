"""Who speaks, and how loud: observers that read the level that audio packets carry (RFC 6464) and open no sound.

A producer without the ``ssrc-audio-level`` header extension is silent to them. One that closes leaves by itself; one
that is paused is not heard until it resumes.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from worker_bridge.channel import Body, Channel
from worker_bridge.checks import UINT16_MAX, instance, integer
from worker_bridge.errors import NotFound
from worker_bridge.event_names import (
    ActiveSpeakerObserverEvent,
    AnyRtpObserverEvent,
    AudioLevelObserverEvent,
    RtpObserverEvent,
    names_of,
)
from worker_bridge.flow import Pausable
from worker_bridge.producer import Producer
from worker_bridge.transport import RouterContext

THRESHOLDS = (-127, 0)  # dBov, the least and the most: RFC 6464 §3


class RtpObserver(Pausable[AnyRtpObserverEvent]):
    """Events: ``addproducer(producer)``, ``removeproducer(producer)``, ``pause()``, ``resume()``,
    ``routerclose()``, ``close(reason)``."""

    known_events = names_of(RtpObserverEvent)
    resource_kind = "rtp_observer"
    methods = "RTPOBSERVER"
    type: ClassVar[str]

    def __init__(self, observer_id: str, channel: Channel, router: RouterContext) -> None:
        super().__init__(observer_id, channel, router.id)
        self._producers = router.producers

    async def add_producer(self, producer_id: str) -> None:
        """Observe an audio producer of this router. Raises NotFound where the router has none of that id,
        RequestRefused where it is video."""
        method = "RTPOBSERVER_ADD_PRODUCER"
        producer = self._producer(method, producer_id)
        await self._request(method, {"producer_id": producer_id})
        self._emit("addproducer", producer)

    async def remove_producer(self, producer_id: str) -> None:
        """Observe it no longer; does nothing if it was not observed. Raises NotFound where the router has none of that
        id."""
        method = "RTPOBSERVER_REMOVE_PRODUCER"
        producer = self._producer(method, producer_id)
        await self._request(method, {"producer_id": producer_id})
        self._emit("removeproducer", producer)

    def _producer(self, method: str, producer_id: str) -> Producer:
        self._require_open()
        instance("producer_id", producer_id, str)
        producer = self._producers.get(producer_id)
        if producer is None:
            raise NotFound(method, f"no producer {producer_id} in router {self._owner_id}")
        return producer


class ActiveSpeakerObserver(RtpObserver[ActiveSpeakerObserverEvent]):
    """Events: ``dominantspeaker(producer)`` when another one speaks most, and an observer's own."""

    known_events = names_of(ActiveSpeakerObserverEvent)
    type = "activespeaker"

    def _notified(self, event: str, body: Body) -> None:
        if event != "ACTIVESPEAKEROBSERVER_DOMINANT_SPEAKER":
            super()._notified(event, body)
        elif producer := self._producers.get(body["producer_id"]):  # else it closed meanwhile
            self._emit("dominantspeaker", producer)


class Volume(msgspec.Struct, frozen=True):
    """How loud a producer was on average, from -127 (silence) to 0 dBov (as loud as can be; RFC 6464 §3)."""

    producer: Producer
    volume: int


class AudioLevelObserver(RtpObserver[AudioLevelObserverEvent]):
    """Events: ``volumes(tuple[Volume, ...])``, loudest first, for each interval in which somebody was at the threshold
    or over; ``silence()`` once when nobody is any more; and an observer's own."""

    known_events = names_of(AudioLevelObserverEvent)
    type = "audiolevel"

    def _notified(self, event: str, body: Body) -> None:
        match event:
            case "AUDIOLEVELOBSERVER_VOLUMES":
                heard = ((self._producers.get(entry["producer_id"]), entry["volume"]) for entry in body["volumes"])
                volumes = tuple(Volume(producer, volume) for producer, volume in heard if producer is not None)
                if volumes:  # else all of them closed meanwhile
                    self._emit("volumes", volumes)
            case "AUDIOLEVELOBSERVER_SILENCE":
                self._emit("silence")
            case _:
                super()._notified(event, body)


def audio_level_options(max_entries: int, threshold: int, interval_ms: int) -> Body:
    """Raises InvalidParameters where the worker would take a value without doing anything sensible with it."""
    integer("max_entries", max_entries, 1, UINT16_MAX)
    integer("threshold", threshold, *THRESHOLDS)
    return {"max_entries": max_entries, "threshold": threshold, "interval": interval_ms}
