"""A bad network: every n-th RTP packet of a party's is lost, on its way to the server or from it, or late."""

from __future__ import annotations

from collections.abc import Callable

from aiortc import RTCIceTransport

from tests.party import Party

SENDS, RECEIVES = 0, 1  # in which order a party of a conversation opens its transports


def lose_sent(party: Party, every: int) -> None:
    transport, lost = ice_transport(party, SENDS), lost_every(every)
    send = transport._send

    async def sometimes_send(packet: bytes) -> None:
        if not lost(packet):
            await send(packet)

    vars(transport)["_send"] = sometimes_send


def reorder_sent(party: Party, every: int) -> None:
    """Every n-th packet is overtaken by the next one."""
    transport, is_late = ice_transport(party, SENDS), lost_every(every)
    send, held = transport._send, []

    async def send_late(packet: bytes) -> None:
        if is_late(packet):
            held.append(packet)
            return
        await send(packet)
        while held:
            await send(held.pop())

    vars(transport)["_send"] = send_late


def lose_received(party: Party, every: int) -> None:
    transport, lost = ice_transport(party, RECEIVES), lost_every(every)
    receive = transport._recv

    async def sometimes_receive() -> bytes:
        while lost(packet := await receive()):
            pass
        return packet

    vars(transport)["_recv"] = sometimes_receive


def ice_transport(party: Party, which: int) -> RTCIceTransport:
    [dtls] = party.media.handlers[which]._dtls_transports()
    return dtls.transport


def lost_every(every: int) -> Callable[[bytes], bool]:
    """Whether a packet is lost. RTP alone counts: STUN, DTLS and RTCP get through (RFC 7983 §7, RFC 5761 §4)."""
    seen = 0

    def lost(packet: bytes) -> bool:
        nonlocal seen
        is_rtp = 128 <= packet[0] < 192 and not 192 <= packet[1] <= 223
        seen += is_rtp
        return is_rtp and seen % every == 0

    return lost
