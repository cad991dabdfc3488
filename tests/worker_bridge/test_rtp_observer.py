"""Observers on the real worker, with real RTP that carries its audio level: who speaks most, how loud, and silence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import eventually
from tests.worker_bridge.household import voice
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.memory_wire import Wire
from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import camera
from worker_bridge.errors import InvalidMessage, InvalidParameters, NotFound, RequestRefused, ResourceClosed
from worker_bridge.native import NativeWorker
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.producer import Producer
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCapabilities
from worker_bridge.rtp_observer import ActiveSpeakerObserver, AudioLevelObserver, RtpObserver, Volume
from worker_bridge.transport import RouterContext
from worker_bridge.worker import Worker

OPUS_TYPE = 111
LOUD, SOFT, FAINT = -10, -40, -90  # dBov
ENOUGH = 20  # packets: the worker takes ten in an interval for a sound
SHORTEST_MS = 250
BODY_TYPES = {
    "AUDIOLEVELOBSERVER_VOLUMES": "AudioLevelObserver_VolumesNotification",
    "ACTIVESPEAKEROBSERVER_DOMINANT_SPEAKER": "ActiveSpeakerObserver_DominantSpeakerNotification",
}
KINDS: list[Callable[[Router], Any]] = [
    lambda router: router.create_active_speaker_observer(),
    lambda router: router.create_audio_level_observer(),
]


class Speaker:
    """A producer, and the far end that feeds it."""

    def __init__(self, gateway: PlainTransport, producer: Producer, peer: RtpPeer) -> None:
        self.producer = producer
        self._gateway = gateway
        self._peer = peer

    def speak(self, level: int, packets: int = ENOUGH) -> None:
        ssrc = self.producer.rtp_parameters.encodings[0].ssrc
        assert ssrc is not None
        for _ in range(packets):
            self._peer.send(self._gateway.tuple, ssrc=ssrc, payload_type=OPUS_TYPE, level=level)


@pytest.fixture
async def gateway(router: Router) -> PlainTransport:
    return await router.create_plain_transport(LOOPBACK, comedia=True)


@pytest.fixture
async def speakers(gateway: PlainTransport, peers: Callable[[], RtpPeer]) -> list[Speaker]:
    peer = peers()
    return [Speaker(gateway, await gateway.produce("audio", voice(ssrc)), peer) for ssrc in (1, 2, 3)]


async def levels(router: Router, speakers: list[Speaker], **options: int) -> tuple[AudioLevelObserver, list[Any]]:
    """An observer of all of them, and what it tells."""
    observer = await router.create_audio_level_observer(interval_ms=SHORTEST_MS, **options)
    told: list[Any] = []
    observer.events.on("volumes", told.append)
    observer.events.on("silence", lambda: told.append("silence"))
    for speaker in speakers:
        await observer.add_producer(speaker.producer.id)
    return observer, told


async def observed(router: Router) -> dict[str, set[str]]:
    """Which producers the worker itself has under observation, and by whom."""
    entries = (await router.dump())["map_producer_id_observer_ids"]
    return {producer_id: set(observer_ids) for producer_id, observer_ids in entries.items() if observer_ids}


# ---------------------------------------------------------------- how loud


async def test_the_loudest_are_told_loudest_first_and_no_more_than_asked_for(
    router: Router, speakers: list[Speaker]
) -> None:
    soft, loud, faint = speakers
    _, told = await levels(router, speakers, max_entries=3)
    both = (Volume(loud.producer, LOUD), Volume(soft.producer, SOFT))

    def why_not() -> str | None:
        for speaker, level in ((soft, SOFT), (loud, LOUD), (faint, FAINT)):
            speaker.speak(level)
        return None if both in told else f"told {told}"

    await eventually(why_not)


async def test_of_two_the_louder_is_the_one_entry(router: Router, speakers: list[Speaker]) -> None:
    soft, loud, _ = speakers
    _, told = await levels(router, speakers)

    def why_not() -> str | None:
        soft.speak(SOFT)
        loud.speak(LOUD)
        return None if (Volume(loud.producer, LOUD),) in told else f"told {told}"

    await eventually(why_not)
    assert all(len(volumes) == 1 for volumes in told if volumes != "silence")


async def test_silence_is_told_once_after_somebody_spoke(router: Router, speakers: list[Speaker]) -> None:
    speaker, *_ = speakers
    _, told = await levels(router, speakers)

    def why_not() -> str | None:
        if not told:
            speaker.speak(LOUD)
        return None if told[-1:] == ["silence"] else f"told {told}"

    await eventually(why_not)
    assert told.count("silence") == 1


async def test_under_the_threshold_nobody_speaks(router: Router, speakers: list[Speaker]) -> None:
    quiet, loud, _ = speakers
    _, told = await levels(router, speakers, max_entries=3, threshold=SOFT)

    def why_not() -> str | None:
        quiet.speak(SOFT - 1)
        loud.speak(LOUD)
        return None if told else "nothing was told"

    await eventually(why_not)
    assert {volume.producer for volumes in told if volumes != "silence" for volume in volumes} == {loud.producer}


async def test_a_paused_observer_tells_silence_and_then_nothing(router: Router, speakers: list[Speaker]) -> None:
    speaker, *_ = speakers
    observer, told = await levels(router, speakers)

    def speaks() -> str | None:
        speaker.speak(LOUD)
        return None if told and told[-1] != "silence" else f"told {told}"

    await eventually(speaks)
    await observer.pause()
    await eventually(lambda: None if told[-1] == "silence" else "no silence was told")
    told.clear()
    speaker.speak(LOUD)
    other, others = await levels(router, speakers)

    def another_tells() -> str | None:
        speaker.speak(LOUD)
        return None if others else "nothing was told"

    await eventually(another_tells)
    assert not told
    await observer.resume()
    await eventually(speaks)
    other.close()


# ---------------------------------------------------------------- who speaks most


async def test_whoever_speaks_becomes_dominant(router: Router, speakers: list[Speaker]) -> None:
    first, second, _ = speakers
    observer = await router.create_active_speaker_observer(interval_ms=100)
    told: list[Producer] = []
    observer.events.on("dominantspeaker", told.append)
    for speaker in (first, second):
        await observer.add_producer(speaker.producer.id)
        speaker.speak(FAINT, packets=1)  # the noise of the room, which speech has to stand out from

    def speaks(speaker: Speaker) -> Callable[[], str | None]:
        def why_not() -> str | None:
            speaker.speak(LOUD, packets=1)
            return None if told[-1:] == [speaker.producer] else f"told {told}"

        return why_not

    await eventually(speaks(first))
    await eventually(speaks(second))


# ---------------------------------------------------------------- both kinds


async def test_an_observer_is_what_was_asked_for(router: Router) -> None:
    made: list[RtpObserver] = []
    router.events.on("newrtpobserver", made.append)
    speaker = await router.create_active_speaker_observer(app_data={"foo": "bar"})
    level = await router.create_audio_level_observer(app_data={"foo": "baz"})
    assert made == [speaker, level]
    assert [observer.app_data["foo"] for observer in made] == ["bar", "baz"]
    assert [observer.type for observer in made] == ["activespeaker", "audiolevel"]
    assert [observer.paused for observer in made] == [False, False]
    assert isinstance(speaker, ActiveSpeakerObserver)
    assert isinstance(level, AudioLevelObserver)
    assert set((await router.dump())["rtp_observer_ids"]) == {observer.id for observer in made}


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda router: router.create_audio_level_observer(max_entries=0), InvalidParameters),
        (lambda router: router.create_audio_level_observer(max_entries=70_000), InvalidParameters),
        (lambda router: router.create_audio_level_observer(threshold=1), InvalidParameters),
        (lambda router: router.create_audio_level_observer(threshold=-128), InvalidParameters),
        (lambda router: router.create_audio_level_observer(interval_ms=-1), InvalidMessage),
        (lambda router: router.create_active_speaker_observer(interval_ms=70_000), InvalidMessage),
        (lambda router: router.create_active_speaker_observer(interval_ms="often"), InvalidMessage),
    ],
)
async def test_what_makes_no_sense_makes_no_observer(router: Router, make: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await make(router)
    assert (await router.dump())["rtp_observer_ids"] == []
    assert not router._children


@pytest.mark.parametrize("make", KINDS)
async def test_pause_and_resume_are_told_once(router: Router, make: Any) -> None:
    observer, told = await make(router), []
    for event in ("pause", "resume"):
        observer.events.on(event, lambda event=event: told.append((event, observer.paused)))
    for ask in (observer.pause, observer.pause, observer.resume, observer.resume):
        await ask()
    assert told == [("pause", True), ("resume", False)]


@pytest.mark.parametrize("make", KINDS)
async def test_producers_come_and_go(router: Router, speakers: list[Speaker], make: Any) -> None:
    observer, told = await make(router), []
    for event in ("addproducer", "removeproducer"):
        observer.events.on(event, lambda producer, event=event: told.append((event, producer)))
    producer = speakers[0].producer
    await observer.add_producer(producer.id)
    assert await observed(router) == {producer.id: {observer.id}}
    await observer.remove_producer(producer.id)
    assert await observed(router) == {}
    await observer.remove_producer(producer.id)
    assert told == [("addproducer", producer), ("removeproducer", producer), ("removeproducer", producer)]


@pytest.mark.parametrize("make", KINDS)
async def test_a_producer_that_closes_leaves(router: Router, speakers: list[Speaker], make: Any) -> None:
    observer = await make(router)
    leaving, staying = speakers[0].producer, speakers[1].producer
    for producer in (leaving, staying):
        await observer.add_producer(producer.id)
    leaving.close()
    assert await observed(router) == {staying.id: {observer.id}}
    with pytest.raises(NotFound):
        await observer.remove_producer(leaving.id)


@pytest.mark.parametrize("make", KINDS)
async def test_only_audio_of_this_router_is_observed(
    worker: Worker, router: Router, gateway: PlainTransport, make: Any
) -> None:
    observer = await make(router)
    video = await gateway.produce("video", camera())
    with pytest.raises(RequestRefused, match="not an audio Producer"):
        await observer.add_producer(video.id)
    elsewhere = await worker.create_router([])
    for stranger in ("nobody", elsewhere.id):
        with pytest.raises(NotFound, match=stranger):
            await observer.add_producer(stranger)
    assert await observed(router) == {}


async def test_a_speaker_is_added_but_once(router: Router, speakers: list[Speaker]) -> None:
    observer = await router.create_active_speaker_observer()
    await observer.add_producer(speakers[0].producer.id)
    with pytest.raises(RequestRefused, match="already in map"):
        await observer.add_producer(speakers[0].producer.id)


@pytest.mark.parametrize("make", KINDS)
@pytest.mark.parametrize("ended", ["router", "worker"])
async def test_an_observer_ends_with_its_router_and_its_worker(
    worker: Worker, router: Router, make: Any, ended: str
) -> None:
    observer = await make(router)
    told = recorded(observer, "routerclose", "close")
    if ended == "router":
        router.close()
    else:
        await worker.close()
    reason = CloseReason.OWNER_CLOSED if ended == "router" else CloseReason.WORKER_DIED
    assert told == ["routerclose", ("close", reason)]
    with pytest.raises(ResourceClosed, match=observer.id):
        await observer.pause()


@pytest.mark.parametrize("make", KINDS)
async def test_a_closed_observer_observes_nobody(router: Router, speakers: list[Speaker], make: Any) -> None:
    observer, producer = await make(router), speakers[0].producer
    await observer.add_producer(producer.id)
    observer.close()
    assert await observed(router) == {}
    assert (await router.dump())["rtp_observer_ids"] == []
    for ask in (
        observer.pause,
        observer.resume,
        lambda: observer.add_producer(producer.id),
        lambda: observer.remove_producer(producer.id),
    ):
        with pytest.raises(ResourceClosed):
            await ask()
    assert not producer.closed


async def test_who_has_closed_meanwhile_is_not_told_of(native_worker: NativeWorker) -> None:
    wire = Wire(native_worker.schema.read_bytes())
    side = RouterContext("router", RtpCapabilities())
    told = []
    volumes = {"volumes": [{"producer_id": "gone", "volume": -1}]}
    for kind, name, event, body in (
        (AudioLevelObserver, "volumes", "AUDIOLEVELOBSERVER_VOLUMES", volumes),
        (ActiveSpeakerObserver, "dominantspeaker", "ACTIVESPEAKEROBSERVER_DOMINANT_SPEAKER", {"producer_id": "gone"}),
    ):
        observer = kind(event, wire.channel, side)
        told.append(recorded(observer, name))
        wire.channel.listen(event, observer._notified)
        wire.channel.feed(wire.notification(event, event, BODY_TYPES[event], body))
    await asyncio.sleep(0)
    assert told == [[], []]
