"""Does a worker begin a DTLS handshake? One that was linked with a system's OpenSSL in the wrong way crashes there."""

from __future__ import annotations

import asyncio
from typing import Final

from voiceplane.loadtest.stun import binding_request
from worker_bridge.connectivity import DtlsFingerprint, DtlsParameters, DtlsRole, ListenInfo
from worker_bridge.errors import WorkerGone
from worker_bridge.native import NativeWorker
from worker_bridge.webrtc_transport import WebRtcTransport
from worker_bridge.worker import Worker

LOOPBACK: Final = "127.0.0.1"
OUR_ROLE: Final[DtlsRole] = "server"  # so that the worker is the client, which begins
FINGERPRINT: Final = DtlsFingerprint(
    "sha-256", ":".join(["AB"] * 32)
)  # of no certificate: the handshake never gets that far
HANDSHAKE: Final = 22  # the record type of a ClientHello (RFC 9147 §4)
WITHIN_S, AGAIN_S = 3.0, 0.2


async def begins_handshake(native: NativeWorker) -> bool:
    """Whether it does: start the worker on a loopback port, answer ICE, and wait for a ClientHello."""
    async with Worker.running(native) as worker:
        router = await worker.create_router()
        transport = await router.create_webrtc_transport([ListenInfo("udp", LOOPBACK)])
        await transport.connect(DtlsParameters((FINGERPRINT,), OUR_ROLE))
        try:
            return await greeted(transport) and bool(await worker.dump())
        except WorkerGone:
            return False


async def greeted(transport: WebRtcTransport) -> bool:
    loop = asyncio.get_running_loop()
    port = transport.ice_candidates[0].port
    endpoint, peer = await loop.create_datagram_endpoint(Peer, remote_addr=(LOOPBACK, port))
    ice = transport.ice_parameters
    asking = asyncio.create_task(ask(endpoint, f"{ice.username_fragment}:doctor", ice.password), name="ICE check")
    try:
        async with asyncio.timeout(WITHIN_S):
            await peer.hello.wait()
    except TimeoutError:
        return False
    finally:
        asking.cancel()
        endpoint.close()
    return True


async def ask(endpoint: asyncio.DatagramTransport, username: str, password: str) -> None:
    """Send ICE checks that nominate our address, until cancelled: a datagram may be lost."""
    while True:
        endpoint.sendto(binding_request(username, password))
        await asyncio.sleep(AGAIN_S)


class Peer(asyncio.DatagramProtocol):
    """Waits for the first record of a handshake."""

    def __init__(self) -> None:
        self.hello = asyncio.Event()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if data[:1] == bytes([HANDSHAKE]):
            self.hello.set()
