"""An echo room for browsers: whoever opens the page and says something hears it back, by way of the worker.

    python examples/echo_room.py --port 8090        and open http://127.0.0.1:8090

The page has the browser make an SDP offer, and this program writes the answer. It shows what lies between SDP and the
bridge; applications mostly leave that to mediasoup-client and send its parameters as JSON. Needs aiohttp.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from worker_bridge import (
    Consumer,
    DtlsFingerprint,
    DtlsParameters,
    ListenInfo,
    Misuse,
    ResourceClosed,
    RtpCapabilities,
    RtpCodecCapability,
    RtpCodecParameters,
    RtpEncodingParameters,
    RtpParameters,
    WebRtcServer,
    WebRtcTransport,
    Worker,
)

PATIENCE_S = 15.0  # for a browser to come up
LEFT_AFTER_S = 10  # without a sign of life: a browser that is closed may say nothing
OFFER_LIMIT = 65_536  # bytes

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Echo room</title>
<h1>Echo room</h1>
<p>Wear headphones, and say something. <button id="join">Join</button> <span id="state" role="status"></span>
<audio id="echo" autoplay></audio>
<script type="module">
const show = (text) => { document.querySelector('#state').textContent = text; };
document.querySelector('#join').onclick = async ({ target }) => {
  target.disabled = true;
  try {
    const peer = new RTCPeerConnection();
    peer.onconnectionstatechange = () => show(peer.connectionState);
    peer.ontrack = ({ track }) => { document.querySelector('#echo').srcObject = new MediaStream([track]); };
    const microphone = await navigator.mediaDevices.getUserMedia({ audio: true });
    peer.addTrack(microphone.getAudioTracks()[0], microphone);
    await peer.setLocalDescription();
    const answer = await fetch('/offer', { method: 'POST', body: peer.localDescription.sdp });
    if (!answer.ok) throw new Error(await answer.text());
    await peer.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  } catch (error) {
    show(error.message);
    target.disabled = false;
  }
};
</script>
"""


@dataclass(frozen=True)
class Offer:
    """What we need to know of a browser's SDP."""

    mid: str
    payload_type: int
    ssrc: int
    fingerprint: DtlsFingerprint

    @classmethod
    def parse(cls, sdp: str) -> Offer:
        """Raises HTTPBadRequest where it offers no Opus, or is no SDP of a browser."""

        def find(pattern: str) -> re.Match[str]:
            found = re.search(pattern, sdp, re.MULTILINE | re.IGNORECASE)
            if found is None:
                raise web.HTTPBadRequest(text=f"The offer has no line like {pattern}")
            return found

        return cls(
            mid=find(r"^a=mid:(\S+)")[1],
            payload_type=int(find(r"^a=rtpmap:(\d+) opus/48000/2")[1]),
            ssrc=int(find(r"^a=ssrc:(\d+) cname:")[1]),
            fingerprint=DtlsFingerprint("sha-256", find(r"^a=fingerprint:sha-256 ([0-9A-F:]+)")[1].upper()),
        )


class EchoRoom:
    """A visitor is one router: it speaks Opus under the number that the visitor's browser gave it."""

    def __init__(self, worker: Worker, server: WebRtcServer) -> None:
        self._worker = worker
        self._server = server
        self._visits: set[asyncio.Task[None]] = set()

    async def page(self, request: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def offer(self, request: web.Request) -> web.Response:
        offer = Offer.parse(await request.text())
        try:
            return web.Response(text=await self._visit(offer), content_type="application/sdp")
        except Misuse as error:
            raise web.HTTPBadRequest(text=str(error)) from error

    async def close(self) -> None:
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    async def _visit(self, offer: Offer) -> str:
        opus = RtpCodecCapability("audio", "audio/opus", 48000, offer.payload_type, channels=2)
        router = await self._worker.create_router([opus])
        try:
            transport = await router.create_webrtc_transport(self._server, ice_consent_timeout_s=LEFT_AFTER_S)
            await transport.connect(DtlsParameters((offer.fingerprint,), role="client"))
            codec = RtpCodecParameters("audio/opus", offer.payload_type, 48000, channels=2)
            encoding = RtpEncodingParameters(ssrc=offer.ssrc)
            microphone = await transport.produce("audio", RtpParameters((codec,), encodings=(encoding,), mid=offer.mid))
            echo = await transport.consume(microphone.id, RtpCapabilities(router.rtp_capabilities.codecs))
        except BaseException:
            router.close()
            raise
        visit = asyncio.create_task(self._watch(transport), name=f"visit {transport.id}")
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)
        visit.add_done_callback(lambda _: router.close())
        return answer(offer, transport, echo)

    async def _watch(self, transport: WebRtcTransport) -> None:
        """Returns when the visitor has left, or never came."""
        connected = transport.wait_for("dtlsstatechange", lambda state: state == "connected")
        leaving: list[asyncio.Future[Any]] = [
            transport.wait_for("dtlsstatechange", lambda state: state in ("closed", "failed")),
            transport.wait_for("icestatechange", lambda state: state == "disconnected"),
        ]
        try:
            async with asyncio.timeout(PATIENCE_S):
                await connected
            print(f"visitor {transport.id} is here", flush=True)
            await asyncio.wait(leaving, return_when=asyncio.FIRST_COMPLETED)
            print(f"visitor {transport.id} has left", flush=True)
        except (TimeoutError, ResourceClosed) as why:
            print(f"visitor {transport.id} did not come: {why!r}", flush=True)


def answer(offer: Offer, transport: WebRtcTransport, echo: Consumer) -> str:
    """The other half of the session (RFC 8829 §5.3): the worker is ICE-lite, and waits for the browser's DTLS."""
    ice, codec = transport.ice_parameters, echo.rtp_parameters.codecs[0]
    fingerprint = next(one for one in transport.dtls_parameters.fingerprints if one.algorithm == "sha-256")
    candidates = [
        f"a=candidate:{one.foundation} 1 {one.protocol} {one.priority} {one.address} {one.port} typ {one.type}"
        + (f" tcptype {one.tcp_type}" if one.tcp_type else "")
        for one in transport.ice_candidates
    ]
    lines = [
        "v=0",
        "o=- 1 1 IN IP4 0.0.0.0",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        f"a=group:BUNDLE {offer.mid}",
        f"m=audio 9 UDP/TLS/RTP/SAVPF {codec.payload_type}",
        "c=IN IP4 0.0.0.0",
        "a=sendrecv",
        f"a=mid:{offer.mid}",
        "a=rtcp-mux",
        f"a=rtpmap:{codec.payload_type} opus/48000/2",
        f"a=ice-ufrag:{ice.username_fragment}",
        f"a=ice-pwd:{ice.password}",
        f"a=fingerprint:{fingerprint.algorithm} {fingerprint.value}",
        "a=setup:passive",
        f"a=ssrc:{echo.rtp_parameters.encodings[0].ssrc} cname:{echo.rtp_parameters.rtcp.cname}",
        *candidates,
        "a=end-of-candidates",
    ]
    return "\r\n".join([*lines, ""])


def own_ips() -> list[str]:
    """Loopback, and the address of the default route: Firefox takes no loopback address of a server."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.41.0.4", 9))  # a root server of DNS: nothing is sent, the routing table is asked
        return ["127.0.0.1", probe.getsockname()[0]]
    return ["127.0.0.1"]


async def main(host: str, port: int, media_ips: list[str], media_port: int) -> None:
    async with Worker.running() as worker:
        infos = [ListenInfo("udp", ip, port=media_port) for ip in media_ips]
        infos += [ListenInfo("tcp", ip, port=media_port) for ip in media_ips]
        room = EchoRoom(worker, await worker.create_webrtc_server(infos))
        app = web.Application(client_max_size=OFFER_LIMIT)
        app.add_routes([web.get("/", room.page), web.post("/offer", room.offer)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            print(f"echo room: http://{host}:{runner.addresses[0][1]}", flush=True)
            await worker.wait_gone()
        finally:
            await room.close()
            await runner.cleanup()
    raise SystemExit(f"the worker ended: {worker.failure}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="where the page is served (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="its port (default: a free one)")
    parser.add_argument(
        "--media-ip", nargs="+", help="addresses of this machine that browsers can reach (default: its own)"
    )
    parser.add_argument("--media-port", type=int, default=0, help="for UDP and TCP (default: free ones)")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(given.host, given.port, given.media_ip or own_ips(), given.media_port))
