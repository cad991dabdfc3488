"""The far end of SCTP (RFC 9260): aiortc's association over bare UDP or over DTLS, with its messages in a list."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from aiortc import RTCSctpCapabilities, RTCSctpTransport

from worker_bridge.connectivity import TransportTuple
from worker_bridge.sctp import SctpParameters

PACKET_LIMIT = 65536


class Association(RTCSctpTransport):
    """``received``: (stream id, payload protocol identifier, payload) of each message."""

    def __init__(self, carrier: Any, port: int) -> None:
        super().__init__(carrier, port)
        self.received: list[tuple[int, int, bytes]] = []

    async def meet(self, far_end: SctpParameters) -> None:
        await self.start(RTCSctpCapabilities(maxMessageSize=far_end.max_message_size), far_end.port)

    async def say(self, stream_id: int, payload: bytes, *, ppid: int, **delivery: Any) -> None:
        """``delivery``: ``ordered``, ``max_retransmits``."""
        await self._send(stream_id, ppid, payload, **delivery)

    async def _receive(self, stream_id: int, pp_id: int, data: bytes) -> None:
        self.received.append((stream_id, pp_id, data))


class UdpCarrier:
    """What an association needs of its transport, over UDP to one address."""

    state, _role = "connected", "client"

    def __init__(self, to: TransportTuple) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.connect((to.local_address, to.local_port))
        self._pump: asyncio.Task[None] | None = None

    async def close(self) -> None:
        self._socket.close()

    async def _send_data(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def _register_data_receiver(self, receiver: Association) -> None:
        self._pump = asyncio.create_task(self._feed(receiver), name="sctp peer")

    def _unregister_data_receiver(self, _: Association) -> None:
        if self._pump is not None:
            self._pump.cancel()

    async def _feed(self, receiver: Association) -> None:
        while True:
            data = await asyncio.get_running_loop().sock_recv(self._socket, PACKET_LIMIT)
            await receiver._handle_data(data)
