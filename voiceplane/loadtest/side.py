"""One party's media in one call: two transports, set up by RTC-02 to RTC-06. The exit stack closes their sockets."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

from schemas.own_media import Direction
from voiceplane.client.api import TransportAnswer
from voiceplane.loadtest import offer
from voiceplane.loadtest.dtls import Fingerprint
from voiceplane.loadtest.engine import Engine, LegHandle
from voiceplane.loadtest.errors import NotLocal
from voiceplane.loadtest.leg import Address, Credentials
from voiceplane.loadtest.online_party import OnlineParty
from voiceplane.loadtest.options import loopback_address
from voiceplane.loadtest.voice import Stream
from worker_bridge.connectivity import IceParameters
from worker_bridge.mediasoup_json import from_json


class Side:
    """Call `send` first; then, once the other side has sent, `receive`."""

    def __init__(
        self, party: OnlineParty, call_id: str, engine: Engine, capabilities: offer.Json, stack: AsyncExitStack
    ) -> None:
        self.sender: LegHandle | None = None
        self.producer_id = ""
        self._party = party
        self._call_id = call_id
        self._engine = engine
        self._capabilities = capabilities
        self._stack = stack
        self._receiving: TransportAnswer | None = None

    async def send(self) -> None:
        """Create and connect both transports, and produce. Returns once the one that sends is up."""
        stream = offer.stream(self._capabilities)
        sending, self._receiving = await self._create_transport("send"), await self._create_transport("recv")
        self.sender = self._leg(sending, stream=stream)
        parameters = offer.rtp_parameters(stream, self._party.user_id)
        self.producer_id = await self._party.api.produce(self._call_id, sending.transport_id, "audio", parameters)
        await self.sender.opened

    async def receive(self, other: Side) -> LegHandle:
        """Consume what `other` produces. Returns once the transport that receives is up and its consumer resumed."""
        assert self._receiving is not None  # noqa: S101  `send` comes first
        receiver = self._leg(self._receiving, hears=other.sender)
        consumer = await self._party.api.consume(
            self._call_id, self._receiving.transport_id, other.producer_id, self._capabilities
        )
        await receiver.opened
        await self._party.api.resume_consumer(consumer.consumer_id)
        return receiver

    async def _create_transport(self, direction: Direction) -> TransportAnswer:
        """RTC-02 and RTC-03; we are the client of the DTLS handshake."""
        answer = await self._party.api.create_transport(self._call_id, direction)
        fingerprint = self._engine.fingerprint._asdict()
        await self._party.api.connect_transport(answer.transport_id, {"role": "client", "fingerprints": [fingerprint]})
        return answer

    def _leg(
        self, answer: TransportAnswer, *, stream: Stream | None = None, hears: LegHandle | None = None
    ) -> LegHandle:
        ice = from_json(IceParameters, answer.ice_parameters)
        leg = self._engine.open(
            udp_address(answer),
            Credentials(ice.username_fragment, ice.password),
            [Fingerprint(one["algorithm"], one["value"]) for one in answer.dtls_parameters["fingerprints"]],
            stream=stream,
            hears=hears,
        )
        self._stack.callback(self._engine.close, [leg])
        return leg


def udp_address(answer: TransportAnswer) -> Address:
    """Where the server's media is. Raises NotLocal where that is not UDP on IPv4's loopback."""
    refusal = NotLocal("the server offers no UDP candidate")
    for candidate in answer.ice_candidates:
        if candidate["protocol"] == "udp":
            host = candidate.get("address") or candidate["ip"]
            try:
                return Address(loopback_address(host, "the server's media", socket.AF_INET), candidate["port"])
            except NotLocal as elsewhere:  # it may listen on loopback as well
                refusal = elsewhere
    raise refusal


async def both(first: Side, second: Side) -> list[LegHandle]:
    """Set up both sides of a call at the same time. Returns the two legs that receive."""
    await asyncio.gather(first.send(), second.send())
    return list(await asyncio.gather(first.receive(second), second.receive(first)))
