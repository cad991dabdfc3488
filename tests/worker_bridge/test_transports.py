"""What transports carry and how they meet the network, on the real worker."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import eventually
from tests.worker_bridge.household import voice
from tests.worker_bridge.rtp_peer import LOOPBACK, RtpPeer
from tests.worker_bridge.rtp_samples import ROUTER, camera, changed, microphone
from worker_bridge import ortc
from worker_bridge.connectivity import DtlsFingerprint, DtlsParameters, DtlsRole, ListenInfo
from worker_bridge.endpoint_transport import LAST_MID
from worker_bridge.errors import BridgeError, InvalidParameters, Misuse, NotFound, RequestRefused, Unsupported
from worker_bridge.plain_transport import PlainTransport, SrtpParameters
from worker_bridge.router import Router
from worker_bridge.rtp import RtpCapabilities
from worker_bridge.webrtc_transport import WebRtcTransport
from worker_bridge.worker import Worker

FINGERPRINT = DtlsFingerprint("sha-256", ":".join(["AB"] * 32))
SRTP_KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="  # 32 bytes of key and 12 of salt


@pytest.fixture
async def plain(router: Router) -> PlainTransport:
    return await router.create_plain_transport(LOOPBACK)


@pytest.fixture
async def webrtc(router: Router) -> WebRtcTransport:
    return await router.create_webrtc_transport([LOOPBACK, ListenInfo("tcp", "127.0.0.1", "voice.example")])


# ---------------------------------------------------------------- WebRTC


async def test_a_webrtc_transport_says_where_it_is(webrtc: WebRtcTransport) -> None:
    udp, tcp = webrtc.ice_candidates
    assert (udp.protocol, udp.address, udp.tcp_type) == ("udp", "127.0.0.1", None)
    assert (tcp.protocol, tcp.address, tcp.tcp_type) == ("tcp", "voice.example", "passive")
    assert udp.priority > tcp.priority
    assert webrtc.ice_parameters.ice_lite
    assert {print_.algorithm for print_ in webrtc.dtls_parameters.fingerprints} >= {"sha-256", "sha-512"}
    assert (webrtc.ice_state, webrtc.dtls_state, webrtc.connected) == ("new", "new", False)


@pytest.mark.parametrize(("theirs", "ours"), [("auto", "client"), ("server", "client"), ("client", "server")])
async def test_connect_takes_the_role_that_the_far_end_does_not(
    webrtc: WebRtcTransport, theirs: DtlsRole, ours: DtlsRole
) -> None:
    assert webrtc.dtls_parameters.role == "auto"
    await webrtc.connect(DtlsParameters((FINGERPRINT,), theirs))
    assert webrtc.dtls_parameters.role == ours
    assert (await webrtc.dump())["dtls_parameters"]["role"] == ours


async def test_a_second_connect_is_refused(webrtc: WebRtcTransport) -> None:
    with pytest.raises(InvalidParameters, match="fingerprints"):
        await webrtc.connect(DtlsParameters(()))
    await webrtc.connect(DtlsParameters((FINGERPRINT,)))
    with pytest.raises(RequestRefused, match="already called"):
        await webrtc.connect(DtlsParameters((FINGERPRINT,), "client"))
    assert webrtc.dtls_parameters.role == "client"


async def test_of_two_connects_at_once_one_is_refused(webrtc: WebRtcTransport) -> None:
    tries = [webrtc.connect(DtlsParameters((FINGERPRINT,))) for _ in range(2)]
    first, second = await asyncio.gather(*tries, return_exceptions=True)
    assert first is None
    assert isinstance(second, RequestRefused)


async def test_restart_ice_gives_new_credentials(webrtc: WebRtcTransport) -> None:
    before = webrtc.ice_parameters
    after = await webrtc.restart_ice()
    assert after == webrtc.ice_parameters
    assert after.ice_lite
    assert after.username_fragment != before.username_fragment
    assert after.password != before.password
    assert (await webrtc.dump())["ice_parameters"]["username_fragment"] == after.username_fragment


async def test_a_closed_webrtc_transport_is_closed_in_every_respect(webrtc: WebRtcTransport) -> None:
    webrtc.close()
    assert (webrtc.ice_state, webrtc.dtls_state, webrtc.ice_selected_tuple) == ("closed", "closed", None)
    assert not webrtc.connected


# ---------------------------------------------------------------- plain RTP


async def test_a_plain_transport_knows_its_peer_by_connect(plain: PlainTransport, peers: Callable[[], RtpPeer]) -> None:
    peer = peers()
    assert plain.tuple.remote_port is None
    with pytest.raises(RequestRefused, match="invalid IP"):
        await plain.connect(ip="nowhere", port=peer.port)
    with pytest.raises(RequestRefused, match="missing ip"):
        await plain.connect()
    await plain.connect(ip="127.0.0.1", port=peer.port)  # a failed one may be repeated
    assert (plain.tuple.remote_ip, plain.tuple.remote_port) == ("127.0.0.1", peer.port)
    with pytest.raises(RequestRefused, match="already called"):
        await plain.connect(ip="127.0.0.1", port=peer.port)


async def test_a_comedia_transport_learns_its_peer_from_its_first_packet(
    router: Router, peers: Callable[[], RtpPeer]
) -> None:
    transport, peer = await router.create_plain_transport(LOOPBACK, comedia=True), peers()
    met: list[Any] = []
    transport.events.on("tuple", met.append)
    peer.send(transport.tuple, ssrc=1, payload_type=111)
    await eventually(lambda: "it has met nobody" if not met else None)
    assert met == [transport.tuple]
    assert transport.tuple.remote_port == peer.port


async def test_rtcp_can_have_a_socket_of_its_own(router: Router) -> None:
    apart = await router.create_plain_transport(LOOPBACK, rtcp_listen_info=LOOPBACK)
    assert apart.rtcp_tuple is not None
    assert apart.rtcp_tuple.local_port != apart.tuple.local_port
    await apart.connect(ip="127.0.0.1", port=5004, rtcp_port=5005)
    assert (apart.tuple.remote_port, apart.rtcp_tuple.remote_port) == (5004, 5005)
    assert (await router.create_plain_transport(LOOPBACK)).rtcp_tuple is None


async def test_srtp_keys_are_exchanged(router: Router) -> None:
    secure = await router.create_plain_transport(LOOPBACK, srtp_crypto_suite="AEAD_AES_256_GCM")
    assert secure.srtp_parameters is not None
    assert secure.srtp_parameters.crypto_suite == "AEAD_AES_256_GCM"
    with pytest.raises(RequestRefused):
        await secure.connect(ip="127.0.0.1", port=5004)
    theirs = SrtpParameters("AEAD_AES_256_GCM", SRTP_KEY)
    await secure.connect(ip="127.0.0.1", port=5004, srtp_parameters=theirs)
    assert (await secure.dump())["srtp_parameters"]["key_base64"] == secure.srtp_parameters.key_base64


# ---------------------------------------------------------------- producers and consumers


async def test_every_producer_has_the_cname_of_the_first(plain: PlainTransport) -> None:
    first = await plain.produce("audio", changed(voice(1), "rtcp.cname", "caller"))
    second = await plain.produce("audio", changed(voice(2), "rtcp.cname", "somebody else"))
    assert [producer.rtp_parameters.rtcp.cname for producer in (first, second)] == ["caller", "caller"]
    assert (await second.dump())["rtp_parameters"].rtcp.cname == "caller"


async def test_a_producer_without_a_cname_gets_one(router: Router, plain: PlainTransport) -> None:
    nameless = changed(voice(1), "rtcp.cname", None)
    mine = await plain.produce("audio", nameless)
    other = await (await router.create_plain_transport(LOOPBACK)).produce("audio", nameless)
    assert mine.rtp_parameters.rtcp.cname
    assert mine.rtp_parameters.rtcp.cname != other.rtp_parameters.rtcp.cname


async def test_mids_count_per_transport(router: Router, plain: PlainTransport) -> None:
    producer = await plain.produce("audio", voice(1))
    listeners = [await router.create_plain_transport(LOOPBACK) for _ in range(2)]
    mids = []
    for listener in (*listeners, *listeners):
        consumer = await listener.consume(producer.id, router.rtp_capabilities)
        mids.append(consumer.rtp_parameters.mid)
    assert mids == ["0", "0", "1", "1"]
    named = await listeners[0].consume(producer.id, router.rtp_capabilities, mid="mine")
    assert named.rtp_parameters.mid == "mine"
    listeners[0]._next_mid = LAST_MID - 1
    mids = [(await listeners[0].consume(producer.id, router.rtp_capabilities)).rtp_parameters.mid for _ in range(2)]
    assert mids == ["99999999", "0"]


async def test_an_unknown_producer_is_not_found(router: Router, plain: PlainTransport) -> None:
    with pytest.raises(NotFound, match="no producer nobody"):
        await plain.consume("nobody", router.rtp_capabilities)


@pytest.mark.parametrize("taken", ["ssrc", "mid"])
async def test_a_stream_that_is_there_already_is_refused_whole(
    worker: Worker, router: Router, plain: PlainTransport, taken: str
) -> None:
    first = await plain.produce("audio", changed(voice(1), "mid", "0"))
    again = voice(1) if taken == "ssrc" else changed(voice(2), "mid", "0")
    told: list[object] = []
    plain.events.on("newproducer", told.append)
    before = await worker.dump(), await plain.dump()
    with pytest.raises(RequestRefused, match=f"(?i){taken} already exists"):
        await plain.produce("audio", again)
    assert (await worker.dump(), await plain.dump()) == before
    assert list(router.producers) == list(plain._children) == [first.id]
    assert not told


INVALID: dict[str, tuple[str, Any]] = {
    "payload type": ("codecs.0.payload_type", 300),
    "clock rate": ("codecs.0.clock_rate", -1),
    "mime type": ("codecs.0.mime_type", "opus"),
    "no codecs": ("codecs", ()),
    "unknown codec": ("codecs.0.mime_type", "audio/unheard"),
    "extension id": ("header_extensions.0.id", 0),
    "extension uri": ("header_extensions.0.uri", "urn:nobody:knows"),
    "ssrc": ("encodings.0.ssrc", 2**32),
    "negative ssrc": ("encodings.0.ssrc", -1),
    "codec of the encoding": ("encodings.0.codec_payload_type", 77),
    "mid": ("mid", 5),
    "cname": ("rtcp.cname", 5),
    "NUL": ("rtcp.cname", "a\0b"),
}


@pytest.mark.parametrize("what", INVALID)
async def test_what_the_rules_refuse_never_reaches_the_worker(worker: Worker, plain: PlainTransport, what: str) -> None:
    path, value = INVALID[what]
    await plain.dump()
    before = await worker.dump(), await plain.dump()
    sent = worker.channel._last_id
    with pytest.raises(Misuse):
        await plain.produce("audio", changed(microphone(), path, value))
    assert worker.channel._last_id - sent <= 1, "at most an id was taken"
    assert (await worker.dump(), await plain.dump()) == before
    assert not plain._children


async def test_the_rules_that_run_are_those_that_are_tested(router: Router, plain: PlainTransport) -> None:
    """``docs/parity.md`` and the tests name mediasoup's functions: a request calls these, in this order."""
    called: list[str] = []
    pipe = await router.create_pipe_transport()
    previous = sys.getprofile()
    sys.setprofile(lambda frame, event, _: called.append(frame.f_code.co_name) if event == "call" else None)
    try:
        producer = await plain.produce("audio", microphone())
        await plain.consume(producer.id, ROUTER)
        await pipe.consume(producer.id)
        router.can_consume(producer.id, ROUTER)
    finally:
        sys.setprofile(previous)
    assert list(dict.fromkeys(name for name in called if name in ortc.__all__)) == [
        "validate_parameters",
        "producer_mapping",
        "consumable_parameters",
        "consumer_parameters",
        "validate_capabilities",
        "pipe_consumer_parameters",
        "can_consume",
    ]


async def test_a_kind_that_the_codecs_are_not_of_never_reaches_the_worker(plain: PlainTransport) -> None:
    for kind, parameters in (("video", microphone()), ("audio", camera())):
        with pytest.raises(Misuse):
            await plain.produce(kind, parameters)  # type: ignore[arg-type]
    assert (await plain.dump())["producer_ids"] == []


async def test_capabilities_that_nothing_matches_never_reach_the_worker(router: Router, plain: PlainTransport) -> None:
    producer = await plain.produce("audio", voice(1))
    with pytest.raises(Unsupported):
        await plain.consume(producer.id, RtpCapabilities())
    with pytest.raises(InvalidParameters):
        await plain.consume(producer.id, changed(router.rtp_capabilities, "codecs.0.mime_type", "opus"))
    assert (await plain.dump())["consumer_ids"] == []


# ---------------------------------------------------------------- limits, traces, statistics


async def test_bit_rates_are_limited_within_reason(webrtc: WebRtcTransport) -> None:
    await webrtc.set_max_incoming_bitrate(1000)
    await webrtc.set_max_incoming_bitrate(0)
    await webrtc.set_min_outgoing_bitrate(50_000)
    with pytest.raises(RequestRefused, match="min outgoing"):
        await webrtc.set_max_outgoing_bitrate(40_000)
    await webrtc.set_max_outgoing_bitrate(2**40)
    await webrtc.set_max_outgoing_bitrate(0)


@pytest.mark.parametrize("bitrate", [-1, 29_999, 2**63])
async def test_bit_rates_beyond_reason_never_reach_the_worker(webrtc: WebRtcTransport, bitrate: int) -> None:
    for limit in (webrtc.set_max_outgoing_bitrate, webrtc.set_min_outgoing_bitrate):
        with pytest.raises(InvalidParameters, match=str(bitrate)):
            await limit(bitrate)
    if bitrate != 29_999:
        with pytest.raises(InvalidParameters):
            await webrtc.set_max_incoming_bitrate(bitrate)


async def test_traces_are_those_of_a_transport(webrtc: WebRtcTransport) -> None:
    await webrtc.enable_trace_event("probation", "bwe")
    assert set((await webrtc.dump())["trace_event_types"]) == {"probation", "bwe"}
    with pytest.raises(InvalidParameters, match="'rtp' is none of bwe, probation"):
        await webrtc.enable_trace_event("rtp")
    await webrtc.enable_trace_event()
    assert (await webrtc.dump())["trace_event_types"] == []


async def test_statistics_are_flat_and_lower_case(webrtc: WebRtcTransport, plain: PlainTransport) -> None:
    [stats] = await webrtc.get_stats()
    assert stats["type"] == "webrtc-transport"
    assert stats["transport_id"] == webrtc.id
    assert (stats["ice_role"], stats["ice_state"], stats["dtls_state"]) == ("controlled", "new", "new")
    assert "ice_selected_tuple" not in stats
    assert "sctp_state" not in stats
    [stats] = await plain.get_stats()
    assert stats["type"] == "plain-rtp-transport"
    assert stats["tuple"]["protocol"] == "udp"
    assert stats["tuple"]["local_port"] == plain.tuple.local_port


async def test_a_refusal_names_the_method(plain: PlainTransport) -> None:
    with pytest.raises(BridgeError) as refused:
        await plain.connect(ip="nowhere", port=1)
    assert isinstance(refused.value, RequestRefused)
    assert (refused.value.method, refused.value.reason) == ("PLAINTRANSPORT_CONNECT", "invalid IP 'nowhere'")
