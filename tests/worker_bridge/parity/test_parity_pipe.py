"""PipeTransport and pipe_to_router: what of a producer crosses to another worker, with media and messages that go all
the way; one pair for all; and its end."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.conftest import eventually, free_ports
from tests.worker_bridge.household import voice
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.parity.test_parity_plain_transport import GCM
from tests.worker_bridge.rtp_packets import Rtp
from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import FIR, NACK, OPUS, PLI, VP8, camera
from worker_bridge.capabilities import (
    ABS_CAPTURE_TIME,
    DEPENDENCY_DESCRIPTOR,
    PACKET_ID,
    PLAYOUT_DELAY,
    SSRC_AUDIO_LEVEL,
    TIME_OFFSET,
    VIDEO_ORIENTATION,
)
from worker_bridge.connectivity import ListenInfo, SrtpParameters
from worker_bridge.consumer import ConsumerScore
from worker_bridge.errors import BridgeError, InvalidParameters, NotFound, RequestRefused, ResourceClosed
from worker_bridge.native import NativeWorker
from worker_bridge.pipe_transport import PipeTransport
from worker_bridge.piping import PipeOptions
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCapabilities, RtpEncodingParameters, parameters
from worker_bridge.sctp import SctpOptions, SctpStreamParameters
from worker_bridge.worker import Worker

OPUS_TYPE = 111
TIMED = SctpStreamParameters(666, ordered=False, max_packet_life_time=5000)
VIDEO = camera(encodings=tuple(RtpEncodingParameters(ssrc=ssrc) for ssrc in (11, 22, 33)))


@pytest.fixture
async def router(worker: Worker) -> Router:
    return await worker.create_router([OPUS, VP8])


@pytest.fixture
async def far_worker(native_worker: NativeWorker) -> AsyncIterator[Worker]:
    async with Worker.running(native_worker) as running:
        yield running


@pytest.fixture
async def far(far_worker: Worker) -> Router:
    """A router of another worker."""
    return await far_worker.create_router([OPUS, VP8])


@pytest.fixture
async def entrance(router: Router) -> Any:
    return await router.create_plain_transport(LOOPBACK, comedia=True, sctp=SctpOptions())


async def pipes_of(router: Router) -> int:
    return len((await router.dump())["transport_ids"])


# ---------------------------------------------------------------- producers


async def test_an_audio_producer_is_there_on_the_far_side(router: Router, far: Router, entrance: Any) -> None:
    producer = await entrance.produce("audio", voice(7), app_data={"who": "alice"})
    piped = await router.pipe_to_router(far, producer_id=producer.id)
    consumer, copy = piped
    assert (await pipes_of(router), await pipes_of(far)) == (2, 1)
    assert (consumer.type, consumer.kind, consumer.paused, consumer.producer_paused) == ("pipe", "audio", False, False)
    assert consumer.score in (ConsumerScore(10, 10, ()), ConsumerScore(10, 10, (0,)))
    assert (copy.id, copy.kind, copy.paused, copy.closed) == (producer.id, "audio", False, False)
    assert copy.app_data == {"who": "alice"}
    for rtp in (consumer.rtp_parameters, copy.rtp_parameters):
        assert rtp.mid is None
        [codec] = rtp.codecs
        assert (codec.mime_type, codec.payload_type, codec.rtcp_feedback) == ("audio/opus", 100, ())
        assert [(one.uri, one.id) for one in rtp.header_extensions] == [
            (SSRC_AUDIO_LEVEL, 6),
            (DEPENDENCY_DESCRIPTOR, 7),
            (PLAYOUT_DELAY, 11),
            (PACKET_ID, 12),
        ]


async def test_a_paused_video_producer_is_there_with_all_its_streams(
    router: Router, far: Router, entrance: Any
) -> None:
    producer = await entrance.produce("video", VIDEO)
    await producer.pause()
    consumer, copy = await router.pipe_to_router(far, producer_id=producer.id)
    assert (consumer.type, consumer.paused, consumer.producer_paused, copy.paused) == ("pipe", False, True, True)
    assert copy.type == "simulcast"
    for rtp in (consumer.rtp_parameters, copy.rtp_parameters):
        [codec] = rtp.codecs
        assert (codec.mime_type, codec.payload_type, codec.rtcp_feedback) == ("video/VP8", 101, (PLI, FIR))
        assert len(rtp.encodings) == 3
        assert [one.uri for one in rtp.header_extensions] == [
            *(DEPENDENCY_DESCRIPTOR, VIDEO_ORIENTATION, TIME_OFFSET, ABS_CAPTURE_TIME, PLAYOUT_DELAY, PACKET_ID),
        ]
    assert (ABS_CAPTURE_TIME, 10) in [(one.uri, one.id) for one in consumer.rtp_parameters.header_extensions]


async def test_it_can_be_consumed_there_as_it_could_be_here(router: Router, far: Router, entrance: Any) -> None:
    producer = await entrance.produce("video", VIDEO)
    copy = (await router.pipe_to_router(far, producer_id=producer.id)).pipe_producer
    out = await far.create_plain_transport(LOOPBACK)
    consumer = await out.consume(copy.id, far.rtp_capabilities)
    assert (consumer.kind, consumer.type, consumer.paused, consumer.producer_paused) == (
        *("video", "simulcast"),
        *(False, False),
    )
    assert consumer.score == ConsumerScore(10, 0, (0, 0, 0))
    assert [(one.mime_type, one.payload_type) for one in consumer.rtp_parameters.codecs] == [
        ("video/VP8", 101),
        ("video/rtx", 102),
    ]
    [encoding] = consumer.rtp_parameters.encodings
    assert encoding.ssrc
    assert encoding.rtx_ssrc
    assert (consumer.rtp_parameters.mid, consumer.rtp_parameters.msid) == ("0", VIDEO.msid)


async def test_pauses_and_the_end_cross_over(router: Router, far: Router, entrance: Any) -> None:
    producer = await entrance.produce("audio", voice(7), paused=True)
    consumer, copy = await router.pipe_to_router(far, producer_id=producer.id)
    out = await far.create_plain_transport(LOOPBACK)
    ear = await out.consume(copy.id, far.rtp_capabilities)
    assert (ear.paused, ear.producer_paused) == (False, True)
    for ask, event, paused in ((producer.resume, "producerresume", False), (producer.pause, "producerpause", True)):
        heard = ear.wait_for(event)
        await ask()
        await heard
        assert (ear.paused, ear.producer_paused, copy.paused) == (False, paused, paused)
    heard = recorded(ear, "producerclose", "close")
    producer.close()
    await eventually(lambda: None if ear.closed else "it is still heard")
    assert heard == ["producerclose", ("close", CloseReason.PRODUCER_CLOSED)]
    assert consumer.closed
    assert copy.closed


async def test_a_copy_that_closes_ends_the_pipe_to_it_alone(router: Router, far: Router, entrance: Any) -> None:
    producer = await entrance.produce("audio", voice(7))
    consumer, copy = await router.pipe_to_router(far, producer_id=producer.id)
    copy.close()
    assert consumer.closed
    assert not producer.closed
    again = await router.pipe_to_router(far, producer_id=producer.id)
    assert again.pipe_producer.id == producer.id


# ---------------------------------------------------------------- media and messages


@pytest.mark.parametrize("enable_srtp", [False, True], ids=["rtp", "srtp"])
async def test_a_voice_is_heard_on_the_far_side(
    router: Router, far: Router, peers: Callable[[], RtpPeer], enable_srtp: bool
) -> None:
    options = PipeOptions(enable_srtp=enable_srtp)
    pipe = far.wait_for("newtransport")
    await heard_over_there(router, far, peers, options)
    ours = (await pipe).srtp_parameters
    assert (ours.crypto_suite if ours else None) == ("AEAD_AES_256_GCM" if enable_srtp else None)
    await heard_over_there(far, router, peers, options)


async def heard_over_there(here: Router, there: Router, peers: Callable[[], RtpPeer], options: PipeOptions) -> None:
    entrance, speaker, listener = await here.create_plain_transport(LOOPBACK, comedia=True), peers(), peers()
    producer = await entrance.produce("audio", voice(7))
    copy = (await here.pipe_to_router(there, producer_id=producer.id, options=options)).pipe_producer
    out = await there.create_plain_transport(LOOPBACK)
    await out.connect(ip="127.0.0.1", port=listener.port)
    await out.consume(copy.id, RtpCapabilities(there.rtp_capabilities.codecs))
    payloads = [f"word {number}".encode() for number in range(50)]
    for number, payload in enumerate(payloads):
        packet = Rtp(7, OPUS_TYPE, number + 1, 960 * number, payload)
        speaker.send_packet(entrance.tuple, bytes(packet))

    def why_not() -> str | None:
        listener.drain()
        return None if len(listener.media) == len(payloads) else f"{len(listener.media)} packets came"

    await eventually(why_not)
    assert [packet.payload for packet in listener.media] == payloads


async def test_messages_cross_by_their_subchannels(router: Router, far: Router) -> None:
    here, there = await router.create_direct_transport(), await far.create_direct_transport()
    producer = await here.produce_data(label="foo", protocol="bar")
    pipe = (await router.pipe_to_router(far, data_producer_id=producer.id)).pipe_data_consumer
    consumer = await there.consume_data(producer.id, subchannels=(123, 666, 777))
    heard = recorded(consumer, "message")
    producer.send("hello1", subchannels=[123, 124], required_subchannel=666)
    await pipe.set_subchannels([123, 124, 666])
    producer.send("hello2", subchannels=[123], required_subchannel=666)
    producer.send("hello3", subchannels=[124], required_subchannel=666)
    producer.send("hello4", subchannels=[125], required_subchannel=666)
    producer.send("hello5", subchannels=[123], ignored_subchannel=666)
    producer.send("hello6", required_subchannel=123, ignored_subchannel=777)
    producer.send("bye")
    await eventually(lambda: None if heard and heard[-1][1].text == "bye" else f"heard {heard}")
    assert [message.text for _, message in heard] == ["hello1", "hello2", "bye"]


async def test_an_ignored_subchannel_is_left_out_at_the_far_end_only(router: Router, far: Router) -> None:
    here, there = await router.create_direct_transport(), await far.create_direct_transport()
    producer = await here.produce_data()
    pipe = (await router.pipe_to_router(far, data_producer_id=producer.id)).pipe_data_consumer
    consumers = [await there.consume_data(producer.id, subchannels=(number,)) for number in (111, 222)]
    await pipe.set_subchannels([111, 222])
    heard = [recorded(consumer, "message") for consumer in consumers]
    producer.send("hello", ignored_subchannel=111)
    producer.send("bye")
    await eventually(lambda: None if len(heard[0]) == 1 and len(heard[1]) == 2 else f"heard {heard}")
    assert [[message.text for _, message in one] for one in heard] == [["bye"], ["hello", "bye"]]


async def test_a_data_producer_is_there_on_the_far_side(router: Router, far: Router, entrance: Any) -> None:
    producer = await entrance.produce_data(TIMED, label="foo", protocol="bar")
    consumer, copy = await router.pipe_to_router(far, data_producer_id=producer.id)
    assert (await pipes_of(router), await pipes_of(far)) == (2, 1)
    assert copy.id == producer.id
    last = await (await far.create_plain_transport(LOOPBACK, sctp=SctpOptions())).consume_data(copy.id)
    for one in (consumer, copy, last):
        assert (one.type, one.label, one.protocol, one.closed) == ("sctp", "foo", "bar", False)
        streams = one.sctp_stream_parameters
        assert streams is not None
        assert (streams.ordered, streams.max_packet_life_time, streams.max_retransmits) == (False, 5000, None)
    heard = recorded(last, "dataproducerclose", "close")
    producer.close()
    await eventually(lambda: None if last.closed else "it is open")
    assert heard == ["dataproducerclose", ("close", CloseReason.PRODUCER_CLOSED)]
    assert consumer.closed
    assert copy.closed


async def test_a_data_producers_pauses_cross_over(router: Router, far: Router, entrance: Any) -> None:
    producer = await entrance.produce_data(TIMED, paused=True)
    consumer, copy = await router.pipe_to_router(far, data_producer_id=producer.id)
    assert (consumer.data_producer_paused, copy.paused) == (True, True)
    resumed = copy.wait_for("resume")
    await producer.resume()
    await resumed
    assert not copy.paused


# ---------------------------------------------------------------- the pair


async def test_one_pair_serves_all_that_is_piped(router: Router, far: Router, entrance: Any) -> None:
    other = await router.create_plain_transport(LOOPBACK, comedia=True)
    producers = [await one.produce("audio", voice(7)) for one in (entrance, other)]
    await asyncio.gather(*(router.pipe_to_router(far, producer_id=one.id) for one in producers))
    assert (await pipes_of(router), await pipes_of(far)) == (3, 1)


async def test_one_pair_serves_both_directions(router: Router, far: Router, entrance: Any) -> None:
    made: dict[Router, list[PipeTransport]] = {router: [], far: []}
    for one, transports in made.items():
        one.events.on("newtransport", lambda new, to=transports: isinstance(new, PipeTransport) and to.append(new))
    far_entrance = await far.create_plain_transport(LOOPBACK, comedia=True)
    here, there = await entrance.produce("audio", voice(7)), await far_entrance.produce("audio", voice(7))
    await asyncio.gather(
        router.pipe_to_router(far, producer_id=here.id), far.pipe_to_router(router, producer_id=there.id)
    )
    [ours], [theirs] = made[router], made[far]
    assert (ours.tuple.local_port, theirs.tuple.local_port) == (theirs.tuple.remote_port, ours.tuple.remote_port)
    router.close()
    assert ours.closed
    assert theirs.closed
    assert not far._pipes


async def test_ids_are_kept_only_between_two_workers(worker: Worker, router: Router, entrance: Any) -> None:
    neighbour = await worker.create_router([OPUS, VP8])
    producer = await entrance.produce("audio", voice(7))
    with pytest.raises(BridgeError):
        await router.pipe_to_router(neighbour, producer_id=producer.id)
    copy = (await router.pipe_to_router(neighbour, producer_id=producer.id, keep_id=False)).pipe_producer
    assert copy.id != producer.id
    assert neighbour.can_consume(copy.id, neighbour.rtp_capabilities)


async def test_what_is_not_there_cannot_be_piped(worker: Worker, router: Router, far: Router, entrance: Any) -> None:
    producer = await entrance.produce("audio", voice(7))
    closed = await worker.create_router([OPUS])
    closed.close()
    ask: Any = router.pipe_to_router
    with pytest.raises(ResourceClosed):
        await ask(closed, producer_id=producer.id)
    for unknown in ({"producer_id": "12345678"}, {"data_producer_id": "12345678"}):
        with pytest.raises(NotFound, match="12345678"):
            await ask(far, **unknown)
    for wrong in ({}, {"producer_id": producer.id, "data_producer_id": "5678"}):
        with pytest.raises(InvalidParameters):
            await ask(far, **wrong)
    with pytest.raises(InvalidParameters):
        await ask(router, producer_id=producer.id)
    assert (await pipes_of(router), await pipes_of(far)) == (1, 0)


async def test_a_producer_that_ends_while_it_is_piped_leaves_nothing(
    router: Router, far: Router, entrance: Any
) -> None:
    producer = await entrance.produce("audio", voice(7))
    piping = asyncio.create_task(router.pipe_to_router(far, producer_id=producer.id))
    await asyncio.sleep(0)
    producer.close()
    with pytest.raises(BridgeError):
        await piping
    await eventually(lambda: None if not far.producers else f"{far.producers} is left")
    assert (await far.dump())["map_producer_id_consumer_ids"] == {}


# ---------------------------------------------------------------- one end alone


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (ListenInfo("udp", "127.0.0.1", port_range=(4000, 3000)), BridgeError),
        (ListenInfo("udp", "123"), RequestRefused),
        (ListenInfo("tcp", "127.0.0.1"), InvalidParameters),
        (ListenInfo("udp", ["127.0.0.1"]), BridgeError),  # type: ignore[arg-type]
    ],
)
async def test_where_it_cannot_listen_no_pipe_is_made(router: Router, place: ListenInfo, error: Any) -> None:
    with pytest.raises(error):
        await router.create_pipe_transport(place)
    assert (await router.dump())["transport_ids"] == []


async def test_a_pipe_repairs_where_that_is_asked_for(router: Router, entrance: Any) -> None:
    told = recorded(router, "newtransport")
    port = free_ports(1)
    place = ListenInfo("udp", "127.0.0.1", port=port)
    pipe = await router.create_pipe_transport(place, enable_rtx=True, app_data={"to": "osaka"})
    assert told == [("newtransport", pipe)]
    assert (pipe.type, pipe.tuple.local_port, pipe.app_data) == ("pipe", port, {"to": "osaka"})
    assert (pipe.srtp_parameters, pipe.rtx) == (None, True)
    producer = await entrance.produce("video", VIDEO)
    consumer = await pipe.consume(producer.id)
    assert (consumer.type, consumer.paused, consumer.producer_paused) == ("pipe", False, False)
    media, repair = consumer.rtp_parameters.codecs
    assert (media.payload_type, media.rtcp_feedback) == (101, (NACK, PLI, FIR))
    assert (repair.mime_type, repair.parameters) == ("video/rtx", parameters(apt=101))
    assert all(one.rtx_ssrc for one in consumer.rtp_parameters.encodings)
    with pytest.raises(NotFound):
        await pipe.consume("nobody")
    dump = await pipe.dump()
    assert (dump["rtx"], dump["consumer_ids"]) == (True, [consumer.id])
    [stats] = await pipe.get_stats()
    assert (stats["type"], stats["tuple"]["local_port"]) == ("pipe-transport", port)


async def test_a_pipe_with_srtp_has_a_key(router: Router) -> None:
    pipe = await router.create_pipe_transport(enable_srtp=True)
    ours = pipe.srtp_parameters
    assert ours is not None
    assert (ours.crypto_suite, len(base64.b64decode(ours.key_base64))) == ("AEAD_AES_256_GCM", 44)
    await pipe.connect(ip="127.0.0.2", port=9999, srtp_parameters=GCM)
    assert (pipe.tuple.remote_ip, pipe.tuple.remote_port) == ("127.0.0.2", 9999)
    with pytest.raises(RequestRefused, match="already called"):
        await pipe.connect(ip="127.0.0.2", port=9999, srtp_parameters=GCM)


@pytest.mark.parametrize(
    ("enable_srtp", "srtp"),
    [
        (False, GCM),
        (False, "invalid"),
        (True, None),
        (True, 1),
        (True, SrtpParameters(None, GCM.key_base64)),  # type: ignore[arg-type]
        (True, SrtpParameters("AEAD_AES_256_GCM", None)),  # type: ignore[arg-type]
        (True, SrtpParameters("FOO", GCM.key_base64)),  # type: ignore[arg-type]
        (True, SrtpParameters(123, GCM.key_base64)),  # type: ignore[arg-type]
        (True, SrtpParameters("AEAD_AES_256_GCM", [])),  # type: ignore[arg-type]
    ],
)
async def test_keys_that_do_not_fit_connect_nothing(router: Router, enable_srtp: bool, srtp: Any) -> None:
    pipe = await router.create_pipe_transport(enable_srtp=enable_srtp)
    with pytest.raises(BridgeError):
        await pipe.connect(ip="127.0.0.2", port=9999, srtp_parameters=srtp)
    assert pipe.tuple.remote_port is None
