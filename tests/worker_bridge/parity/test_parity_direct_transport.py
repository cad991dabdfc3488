"""DirectTransport: RTP, RTCP and messages between the worker and this process, byte by byte; and its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import eventually
from tests.worker_bridge.household import voice
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.parity.test_parity_webrtc_transport import NOTHING_YET
from tests.worker_bridge.rtp_packets import PLI, Rtp, parse_rtcp, pli, sender_report, vp8
from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import camera
from worker_bridge.data_consumer import DataConsumer
from worker_bridge.direct_transport import DirectTransport
from worker_bridge.errors import InvalidParameters, ResourceClosed, Unsupported
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCapabilities
from worker_bridge.sctp import PPID_BINARY, PPID_BINARY_EMPTY, PPID_STRING, PPID_STRING_EMPTY, Message
from worker_bridge.worker import Worker

OPUS_TYPE = 111


@pytest.fixture
async def transport(router: Router) -> DirectTransport:
    return await router.create_direct_transport()


async def test_a_new_transport_is_known_to_all(router: Router) -> None:
    told = recorded(router, "newtransport")
    transport = await router.create_direct_transport(
        max_send_message_size=1024, max_receive_message_size=1025, app_data={"foo": "bar"}
    )
    assert told == [("newtransport", transport)]
    assert (transport.type, transport.closed, transport.app_data) == ("direct", False, {"foo": "bar"})
    dump = await transport.dump()
    assert (dump["id"], dump["producer_ids"], dump["consumer_ids"]) == (transport.id, [], [])
    assert (dump["data_producer_ids"], dump["data_consumer_ids"]) == ([], [])
    assert (dump["max_send_message_size"], dump["max_receive_message_size"]) == (1024, 1025)
    assert (await router.dump())["transport_ids"] == [transport.id]


async def test_new_statistics_are_zero(transport: DirectTransport) -> None:
    [stats] = await transport.get_stats()
    assert (stats["type"], stats["transport_id"]) == ("direct-transport", transport.id)
    assert stats["timestamp"] > 0
    assert {name: stats[name] for name in NOTHING_YET} == dict.fromkeys(NOTHING_YET, 0)


async def test_there_is_nothing_to_connect_and_no_bitrate_to_limit(transport: DirectTransport) -> None:
    await transport.connect()
    for name in ("max_incoming", "max_outgoing", "min_outgoing"):
        with pytest.raises(Unsupported):
            await getattr(transport, f"set_{name}_bitrate")(100_000)


# ---------------------------------------------------------------- RTP and RTCP


async def test_rtp_comes_in_by_the_network_and_out_as_bytes(
    router: Router, transport: DirectTransport, peers: Callable[[], RtpPeer]
) -> None:
    gateway, peer = await router.create_plain_transport(LOOPBACK, comedia=True), peers()
    producer = await gateway.produce("audio", voice(7))
    consumer = await transport.consume(producer.id, RtpCapabilities(router.rtp_capabilities.codecs))
    heard = recorded(consumer, "rtp")
    sent = [
        Rtp(7, OPUS_TYPE, 65_530 + number, 960 * number, bytes([number]) * (number * 40), marker=number % 3 == 0)
        for number in range(1, 20)
    ]
    for packet in sent:
        peer.send_packet(gateway.tuple, bytes(packet))
    await eventually(lambda: None if len(heard) == len(sent) else f"{len(heard)} of {len(sent)} packets")
    came = [Rtp.parse(packet) for _, packet in heard]
    assert all(type(packet) is bytes for _, packet in heard)
    [codec], [encoding] = consumer.rtp_parameters.codecs, consumer.rtp_parameters.encodings
    for ours, theirs in zip(came, sent, strict=True):
        assert (ours.payload, ours.timestamp, ours.marker) == (theirs.payload, theirs.timestamp, theirs.marker)
        assert (ours.ssrc, ours.payload_type) == (encoding.ssrc, codec.payload_type)
        assert (ours.sequence_number - theirs.sequence_number) % 65536 == (
            came[0].sequence_number - sent[0].sequence_number
        ) % 65536


async def test_rtp_goes_in_as_bytes_and_out_by_the_network(
    router: Router, transport: DirectTransport, peers: Callable[[], RtpPeer]
) -> None:
    producer = await transport.produce("audio", voice(7))
    out, peer = await router.create_plain_transport(LOOPBACK), peers()
    await out.connect(ip="127.0.0.1", port=peer.port)
    await out.consume(producer.id, RtpCapabilities(router.rtp_capabilities.codecs))
    payloads = [bytes([number]) * 100 for number in range(30)]
    for number, payload in enumerate(payloads):
        packet = bytes(Rtp(7, OPUS_TYPE, number, 960 * number, payload))
        producer.send((packet, bytearray(packet), memoryview(packet))[number % 3])
    await transport.drain()

    def why_not() -> str | None:
        peer.drain()
        return None if len(peer.media) == len(payloads) else f"{len(peer.media)} of {len(payloads)} packets"

    await eventually(why_not)
    assert [packet.payload for packet in peer.media] == payloads
    [stats] = await producer.get_stats()
    assert stats["packet_count"] == len(payloads)


async def test_a_consumer_here_asks_a_producer_here_for_a_key_frame(router: Router, transport: DirectTransport) -> None:
    """RTCP both ways: a PLI that we send as the receiver comes back to us as the sender."""
    sender = await router.create_direct_transport()
    asked = recorded(sender, "rtcp")
    producer = await sender.produce("video", camera())
    consumer = await transport.consume(producer.id, RtpCapabilities(router.rtp_capabilities.codecs))
    seen = recorded(consumer, "rtp")
    producer.send(bytes(Rtp(2000, 96, 1, 3000, vp8(b"frame", key=True, picture=1), marker=True)))
    await eventually(lambda: None if seen else "no packet")
    sender.send_rtcp(sender_report(2000, 1_700_000_000, 3000))
    ssrc = consumer.rtp_parameters.encodings[0].ssrc
    assert ssrc is not None

    def why_not() -> str | None:
        transport.send_rtcp(pli(ssrc))
        kinds = [feedback.kind for _, packet in asked for feedback in parse_rtcp(packet)]
        return None if PLI in kinds else f"asked {kinds}"

    await eventually(why_not)
    [stats] = await producer.get_stats()
    assert stats["pli_count"] > 0


# ---------------------------------------------------------------- messages


async def test_messages_arrive_as_they_were_sent_but_for_those_of_pauses(transport: DirectTransport) -> None:
    producer = await transport.produce_data(label="foo", protocol="bar")
    consumer = await transport.consume_data(producer.id)
    heard = recorded(consumer, "message")
    sent: list[str | bytes] = [str(number) for number in range(100)] + [str(number).encode() for number in range(100)]
    dropped: set[int] = set()
    for number, payload in enumerate(sent):
        for at, ask in ((10, producer.pause), (20, producer.resume), (40, consumer.pause), (60, consumer.resume)):
            if number == at:
                await ask()
        if producer.paused or consumer.paused:
            dropped.add(number)
        producer.send(payload)
    expected = [
        Message(payload.encode(), PPID_STRING) if isinstance(payload, str) else Message(payload, PPID_BINARY)
        for number, payload in enumerate(sent)
        if number not in dropped
    ]
    await eventually(lambda: None if len(heard) == len(expected) else f"{len(heard)} of {len(expected)} messages")
    assert [message for _, message in heard] == expected
    [stats] = await producer.get_stats()
    assert (stats["type"], stats["label"], stats["protocol"]) == ("data-producer", "foo", "bar")
    assert (stats["messages_received"], stats["bytes_received"]) == (len(sent), sum(map(len, sent)))
    [stats] = await consumer.get_stats()
    assert (stats["type"], stats["label"], stats["protocol"]) == ("data-consumer", "foo", "bar")
    assert (stats["messages_sent"], stats["bytes_sent"]) == (
        len(expected),
        sum(len(message.payload) for message in expected),
    )


@pytest.mark.parametrize(
    ("payload", "ppid"),
    [
        ("text", PPID_STRING),
        ("", PPID_STRING_EMPTY),
        (b"bytes", PPID_BINARY),
        (b"", PPID_BINARY_EMPTY),
        (bytearray(b"more"), PPID_BINARY),
        (memoryview(b"a view"), PPID_BINARY),
        (b"\x00" * 200_000, PPID_BINARY),
    ],
    ids=["text", "no text", "bytes", "no bytes", "bytearray", "view", "many bytes"],
)
async def test_what_a_message_is_is_told_by_its_payload(
    transport: DirectTransport, payload: str | bytes, ppid: int
) -> None:
    producer = await transport.produce_data()
    consumer = await transport.consume_data(producer.id)
    heard = consumer.wait_for("message")
    producer.send(payload)
    message = await heard
    assert message == Message(payload.encode() if isinstance(payload, str) else bytes(payload), ppid)
    assert message.is_text is isinstance(payload, str)


async def test_another_sort_of_message_may_be_sent(transport: DirectTransport) -> None:
    producer = await transport.produce_data()
    consumer = await transport.consume_data(producer.id)
    heard = consumer.wait_for("message")
    producer.send(b"payload", ppid=4711)
    assert await heard == Message(b"payload", 4711)


@pytest.mark.parametrize("payload", [None, 7, ["text"], b"\x00" * 1025])
async def test_what_is_no_message_is_not_sent(router: Router, payload: bytes) -> None:
    transport = await router.create_direct_transport(max_receive_message_size=1024)
    producer = await transport.produce_data()
    with pytest.raises(InvalidParameters):
        producer.send(payload)
    assert (await producer.get_stats())[0]["messages_received"] == 0


async def test_messages_go_to_those_in_their_subchannels(transport: DirectTransport) -> None:
    producer = await transport.produce_data()
    first = await transport.consume_data(producer.id, subchannels=(1, 11, 666))
    second = await transport.consume_data(producer.id, subchannels=(2, 22, 666))
    heard = {first: recorded(first, "message"), second: recorded(second, "message")}
    producer.send("both")
    producer.send("both", subchannels=[1, 2])
    producer.send("both", subchannels=[11, 22, 33], required_subchannel=666)
    producer.send("none", subchannels=[3], required_subchannel=666)
    producer.send("none", subchannels=[666], required_subchannel=3)
    producer.send("first", subchannels=[1])
    producer.send("first", subchannels=[11], required_subchannel=1)
    producer.send("first", subchannels=[666], required_subchannel=11)
    producer.send("first", ignored_subchannel=22)
    producer.send("second", subchannels=[666], required_subchannel=2)
    await second.set_subchannels([*second.subchannels, 1])
    producer.send("both", subchannels=[1], required_subchannel=666)
    await eventually(lambda: None if len(heard[second]) == 5 else f"heard {heard}")

    def texts(consumer: DataConsumer) -> list[str]:
        return [message.text for _, message in heard[consumer]]

    assert texts(first) == ["both"] * 3 + ["first"] * 4 + ["both"]
    assert texts(second) == ["both"] * 3 + ["second", "both"]


# ---------------------------------------------------------------- its end


async def test_a_closed_transport_is_gone(router: Router, transport: DirectTransport) -> None:
    told = recorded(transport, "close", "routerclose")
    producer, data_producer = await transport.produce("audio", voice(1)), await transport.produce_data()
    transport.close()
    assert told == [("close", CloseReason.REQUESTED)]
    assert (await router.dump())["transport_ids"] == []
    for ask in (transport.dump, transport.get_stats, transport.connect, transport.drain, transport.produce_data):
        with pytest.raises(ResourceClosed, match=transport.id):
            await ask()
    for send in (transport.send_rtcp, producer.send, data_producer.send):
        with pytest.raises(ResourceClosed):
            send(b"")


@pytest.mark.parametrize("ended", ["router", "worker"])
async def test_a_transport_ends_with_its_router_and_its_worker(
    worker: Worker, router: Router, transport: DirectTransport, ended: str
) -> None:
    told = recorded(transport, "close", "routerclose")
    if ended == "router":
        router.close()
    else:
        await worker.close()
    reason = CloseReason.OWNER_CLOSED if ended == "router" else CloseReason.WORKER_DIED
    assert told == ["routerclose", ("close", reason)]
    with pytest.raises(ResourceClosed, match=transport.id):
        await transport.get_stats()
