"""pymediasoup's aiortc handler, with workarounds for its faults; no other file has any.

Seen in pymediasoup 1.5.0 on aiortc 1.16.0 and aioice 0.13.0:

1. `Transport` passes "connect" on without awaiting it, so DTLS may start before RTC-03 is answered, and a refusal of it
   does not reach whoever produces or consumes. The handler's own "@connect" is awaited and raises: `media.py` listens
   there.
2. The DTLS role is fixed (server when sending, client when receiving). `dtls_role` chooses it: aiortc follows the
   `a=setup` of the remote description, and `RemoteSdp` writes actpass into every offer.
3. aioice never gathers 127.0.0.1, so a machine without a network has no candidate at all. Where all of the server's
   addresses are loopback, so is ours.
4. A peer connection that is closed while it connects goes on connecting: it starts ICE's consent checks, or a receiver
   with its thread, after the moment at which they would have been stopped. Its tasks are kept here, and ended first.
5. `Consumer` never learns its receiver and `Transport.getStats` returns a coroutine: `packets_lost` asks aiortc itself.

(And without ICE servers aiortc asks a public STUN server: `media.py` always gives a list, if need be an empty one.)
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any, Literal, cast

from aioice import Candidate, Connection
from aiortc import RTCDtlsTransport
from aiortc.stats import RTCInboundRtpStreamStats
from pymediasoup import AiortcHandler
from pymediasoup.handlers.sdp.remote_sdp import RemoteSdp
from pymediasoup.models.transport import DtlsRole as AnyDtlsRole

DtlsRole = Literal["client", "server"]
LOOPBACK = "127.0.0.1"


class PartyHandler(AiortcHandler):
    """One transport's peer connection. `dtls_role` is our side's; None leaves pymediasoup's choice."""

    def __init__(self, dtls_role: DtlsRole | None = None) -> None:
        super().__init__()
        self._dtls_role = dtls_role
        self._on_loopback = False
        self._connecting: set[asyncio.Future[None]] = set()

    def run(self, *args: Any, **options: Any) -> None:
        super().run(*args, **options)
        self._keep_connecting_tasks()
        self.pc.on("connectionstatechange", self._note_end)
        self._on_loopback = all(_is_loopback(candidate.ip) for candidate in options["iceCandidates"])
        if self._dtls_role == "server" and self._direction == "recv":
            self._remoteSdp = cast(RemoteSdp, _ActiveSdp(self.remoteSdp))

    async def _setupTransport(  # noqa: N802
        self,
        localDtlsRole: AnyDtlsRole,  # noqa: N803
        localSdpDict: dict[str, Any] | None = None,  # noqa: N803
    ) -> None:
        # Called once, after the ICE transport was made and before it gathers.
        if self._on_loopback:
            for dtls in self._dtls_transports():
                _gather_on_loopback(dtls.transport._connection)  # noqa: SLF001
        await super()._setupTransport(self._dtls_role or localDtlsRole, localSdpDict)

    async def close(self) -> None:
        if self._pc is None:
            return
        await _ended(self._connecting)
        pumps = {dtls._task for dtls in self._dtls_transports() if dtls._task is not None}  # noqa: SLF001
        await self._pc.close()
        await _ended(pumps)

    def fall_silent(self) -> None:
        """From now on nothing leaves the machine, not even a goodbye: as if its cable had been pulled."""
        for dtls in self._dtls_transports():
            vars(dtls.transport)["_send"] = _into_the_void

    def state(self) -> str:
        """ICE's and DTLS' state, for people: "ICE completed, DTLS connecting"."""
        states = [f"ICE {dtls.transport.state}, DTLS {dtls.state}" for dtls in self._dtls_transports()]
        return "; ".join(states) or "not started"

    def dtls_roles(self) -> list[str]:
        """The role that aiortc took: "auto" before the handshake, then "client" or "server"."""
        return [dtls._role for dtls in self._dtls_transports()]  # noqa: SLF001

    async def packets_lost(self) -> int:
        """Packets that RTP's sequence numbers say we should have received, and have not."""
        report = await self.pc.getStats()
        return sum(stats.packetsLost for stats in report.values() if isinstance(stats, RTCInboundRtpStreamStats))

    async def stats(self) -> list[dict[str, Any]]:
        """Everything that aiortc counts, in W3C's names; nothing before there is anything."""
        if self._pc is None:
            return []
        return [vars(one) for one in (await self._pc.getStats()).values()]

    def _note_end(self) -> None:
        """DTLS ended, by the server: pymediasoup looks at ICE alone, which goes on until its checks expire."""
        if self._pc is not None and self._pc.connectionState in ("closed", "failed"):
            self.emit("@connectionstatechange", self._pc.connectionState)

    def _keep_connecting_tasks(self) -> None:
        name = "_RTCPeerConnection__connect"  # name-mangled, and run as a task that nobody owns
        connect = getattr(self.pc, name)

        async def kept() -> None:
            task = cast(asyncio.Task[None], asyncio.current_task())
            self._connecting.add(task)
            try:
                await connect()
            finally:
                self._connecting.discard(task)

        vars(self.pc)[name] = kept

    def _dtls_transports(self) -> list[RTCDtlsTransport]:
        if self._pc is None:
            return []
        return list({transceiver.receiver.transport for transceiver in self._pc.getTransceivers()})


class _ActiveSdp:
    """A `RemoteSdp` whose offers say that the remote side is the DTLS client (`a=setup:active`, RFC 5763 §5)."""

    def __init__(self, sdp: RemoteSdp) -> None:
        self._sdp = sdp

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sdp, name)

    def getSdp(self) -> str:  # noqa: N802
        return self._sdp.getSdp().replace("a=setup:actpass", "a=setup:active")


def _gather_on_loopback(connection: Connection) -> None:
    gather = connection.get_component_candidates

    async def gather_loopback(component: int, addresses: list[str]) -> list[Candidate]:
        return await gather(component, [LOOPBACK])

    vars(connection)["get_component_candidates"] = gather_loopback


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a host name, as VOICEPLANE_RTC_ANNOUNCED_ADDRESS may be
        return False


async def _ended(tasks: set[asyncio.Future[None]]) -> None:
    """Cancel them, and return when they are no more."""
    tasks = set(tasks)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _into_the_void(_: bytes) -> None:
    pass
