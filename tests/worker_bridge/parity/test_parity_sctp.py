"""Data channels with a real SCTP peer: over bare UDP on a plain transport, and over DTLS on a WebRTC transport."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.conftest import eventually
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.sctp_peer import Association, UdpCarrier
from tests.worker_bridge.webrtc_peer import WebRtcPeer
from worker_bridge.errors import RequestRefused
from worker_bridge.router import Router
from worker_bridge.sctp import (
    PPID_BINARY,
    PPID_STRING,
    Message,
    SctpNegotiatedCapabilities,
    SctpOptions,
    SctpStreamParameters,
)

STREAM = 123


@asynccontextmanager
async def over_udp(router: Router) -> AsyncIterator[tuple[Any, Association]]:
    transport = await router.create_plain_transport(LOOPBACK, comedia=True, sctp=SctpOptions())
    carrier = UdpCarrier(transport.tuple)
    association = Association(carrier, transport.sctp_parameters.port)
    try:
        await transport.produce_data(SctpStreamParameters(65534))  # without anything to carry, SCTP is not spoken
        await association.meet(transport.sctp_parameters)
        yield transport, association
    finally:
        await association.stop()
        await carrier.close()


@asynccontextmanager
async def over_dtls(router: Router) -> AsyncIterator[tuple[Any, Association]]:
    transport = await router.create_webrtc_transport([LOOPBACK], sctp=SctpOptions())
    async with WebRtcPeer.of(transport) as peer:
        await transport.produce_data(SctpStreamParameters(65534))
        association = await peer.associate(transport)
        try:
            yield transport, association
        finally:
            await association.stop()


WAYS = pytest.mark.parametrize("connected", [over_udp, over_dtls], ids=["udp", "dtls"])


async def up(transport: Any, association: Association) -> None:
    def why_not() -> str | None:
        states = transport.sctp_state, association.state
        return None if states == ("connected", "connected") else f"SCTP is {states}"

    await eventually(why_not)


@WAYS
async def test_an_association_comes_up_and_is_agreed_on(router: Router, connected: Any) -> None:
    async with connected(router) as (transport, association):
        await up(transport, association)
        agreed = SctpNegotiatedCapabilities(65535, 65535)
        assert transport.sctp_negotiated_capabilities == agreed
        dump = await transport.dump()
        assert dump["sctp_state"] == "connected"
        assert (await transport.get_stats())[0]["sctp_state"] == "connected"
    await eventually(lambda: None if transport.sctp_state == "closed" else f"SCTP is {transport.sctp_state}")


@WAYS
async def test_states_are_told(router: Router, connected: Any) -> None:
    heard: list[Any] = []
    router.events.on("newtransport", lambda one: heard.append(recorded(one, "sctpstatechange")))
    async with connected(router) as (transport, association):
        await up(transport, association)
    assert [state for _, state in heard[0]][:2] == ["connecting", "connected"]


@WAYS
async def test_messages_go_in_and_out_in_order(router: Router, connected: Any) -> None:
    async with connected(router) as (transport, association):
        await up(transport, association)
        producer = await transport.produce_data(
            SctpStreamParameters(STREAM, ordered=True), label="peer", protocol="foo & bar 😀"
        )
        echo = await transport.consume_data(producer.id)
        direct = await router.create_direct_transport()
        ear = await direct.consume_data(producer.id)
        heard = recorded(ear, "message")
        messages = [
            (PPID_STRING if number < 100 else PPID_BINARY, f"message {number} 😀".encode()) for number in range(200)
        ]
        for ppid, payload in messages:
            await association.say(STREAM, payload, ppid=ppid)
        await eventually(
            lambda: None if len(association.received) == 200 else f"{len(association.received)} have come back"
        )
        assert association.received == [(0, ppid, payload) for ppid, payload in messages]
        assert heard == [("message", Message(payload, ppid)) for ppid, payload in messages]
        [stats] = await producer.get_stats()
        size = sum(len(payload) for _, payload in messages)
        assert (stats["label"], stats["protocol"]) == ("peer", "foo & bar 😀")
        assert (stats["messages_received"], stats["bytes_received"]) == (200, size)
        [stats] = await echo.get_stats()
        assert (stats["messages_sent"], stats["bytes_sent"]) == (200, size)
        assert await echo.get_buffered_amount() == 0


@WAYS
async def test_messages_of_ours_go_out_by_a_data_consumer(router: Router, connected: Any) -> None:
    async with connected(router) as (transport, association):
        await up(transport, association)
        producer = await transport.produce_data(SctpStreamParameters(STREAM))
        consumer = await transport.consume_data(producer.id)
        assert await consumer.get_buffered_amount() == 0
        assert await consumer.send("foo") == 0
        await consumer.send(b"bar")
        await eventually(lambda: None if len(association.received) == 2 else f"{association.received} has come")
        assert association.received == [(0, PPID_STRING, b"foo"), (0, PPID_BINARY, b"bar")]


async def test_a_full_buffer_refuses_and_tells_when_it_is_low_again(router: Router) -> None:
    transport = await router.create_plain_transport(
        LOOPBACK, comedia=True, sctp=SctpOptions(send_buffer_size=400_000, per_stream_send_queue_limit=400_000)
    )
    carrier = UdpCarrier(transport.tuple)
    assert transport.sctp_parameters is not None
    association = Association(carrier, transport.sctp_parameters.port)
    producer = await transport.produce_data(SctpStreamParameters(STREAM))
    consumer = await transport.consume_data(producer.id)
    told = recorded(consumer, "sctpsendbufferfull", "bufferedamountlow")
    try:
        await association.meet(transport.sctp_parameters)
        await up(transport, association)
        answers = await asyncio.gather(*(consumer.send(b"\x00" * 100_000) for _ in range(20)), return_exceptions=True)
        refusals = [answer for answer in answers if isinstance(answer, RequestRefused)]
        sent = len(answers) - len(refusals)
        assert sent >= 3
        assert {refusal.reason for refusal in refusals} == {"sctpsendbufferfull"}
        await eventually(lambda: None if "sctpsendbufferfull" in told else f"told {told}")
        await eventually(lambda: None if any("bufferedamountlow" in one for one in told) else f"told {told}")
        await eventually(lambda: None if len(association.received) == sent else f"{len(association.received)} came")
    finally:
        await association.stop()
        await carrier.close()
