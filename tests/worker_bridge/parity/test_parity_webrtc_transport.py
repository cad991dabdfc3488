"""WebRtcTransport: where it listens, what it says of itself, limits, connecting with a real peer, and its end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import eventually, free_ports
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.rtp_peer import LOOPBACK
from tests.worker_bridge.webrtc_peer import WebRtcPeer
from worker_bridge.connectivity import DtlsFingerprint, DtlsParameters, ListenInfo
from worker_bridge.errors import BridgeError, InvalidMessage, InvalidParameters, RequestRefused, ResourceClosed
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.sctp import SctpOptions
from worker_bridge.webrtc_transport import WebRtcTransport
from worker_bridge.worker import Worker

FINGERPRINT = DtlsFingerprint(
    "sha-256", "82:5A:68:3D:36:C3:0A:DE:AF:E7:32:43:D2:88:83:57:AC:2D:65:E5:80:C4:B6:FB:AF:1A:A0:21:9F:6D:0C:AD"
)
NOTHING_YET = (
    *("bytes_received", "recv_bitrate", "bytes_sent", "send_bitrate"),
    *("rtp_bytes_received", "rtp_recv_bitrate", "rtp_bytes_sent", "rtp_send_bitrate"),
    *("rtx_bytes_received", "rtx_recv_bitrate", "rtx_bytes_sent", "rtx_send_bitrate"),
    *("probation_bytes_sent", "probation_send_bitrate"),
)


@pytest.fixture
async def transport(router: Router) -> WebRtcTransport:
    return await router.create_webrtc_transport([LOOPBACK])


async def test_a_transport_offers_every_place_where_it_listens_in_order(router: Router) -> None:
    told = recorded(router, "newtransport")
    places = [
        ListenInfo("udp", "127.0.0.1", "9.9.9.1", expose_internal_ip=True),
        ListenInfo("tcp", "127.0.0.1", "9.9.9.1"),
        ListenInfo("udp", "0.0.0.0", "foo1.example"),
        ListenInfo("tcp", "0.0.0.0", "foo2.example"),
        ListenInfo("udp", "127.0.0.1"),
        ListenInfo("tcp", "127.0.0.1"),
    ]
    transport = await router.create_webrtc_transport(places, app_data={"foo": "bar"})
    assert told == [("newtransport", transport)]
    assert transport.app_data == {"foo": "bar"}
    assert (transport.type, transport.ice_role, transport.ice_parameters.ice_lite) == ("webrtc", "controlled", True)
    candidates = transport.ice_candidates
    assert [(one.address, one.protocol, one.type, one.tcp_type) for one in candidates] == [
        ("9.9.9.1", "udp", "host", None),
        ("127.0.0.1", "udp", "host", None),
        ("9.9.9.1", "tcp", "host", "passive"),
        ("foo1.example", "udp", "host", None),
        ("foo2.example", "tcp", "host", "passive"),
        ("127.0.0.1", "udp", "host", None),
        ("127.0.0.1", "tcp", "host", "passive"),
    ]
    priorities = [one.priority for one in candidates]
    assert priorities == sorted(set(priorities), reverse=True)
    assert (await router.dump())["transport_ids"] == [transport.id]


async def test_the_workers_idea_of_a_new_transport_is_ours(router: Router) -> None:
    options = SctpOptions(1000001, 1000002, 2000001, 2000002, 2000003, 2004)
    transport = await router.create_webrtc_transport([LOOPBACK], sctp=options)
    sctp = transport.sctp_parameters
    assert sctp is not None
    assert (sctp.port, sctp.os, sctp.mis, sctp.is_data_channel) == (5000, 65535, 65535, True)
    assert (sctp.max_send_message_size, sctp.max_receive_message_size) == (1000001, 1000002)
    assert sctp.max_message_size == 1000002
    assert (sctp.send_buffer_size, sctp.per_stream_send_queue_limit) == (2000001, 2000002)
    assert sctp.max_receiver_window_buffer_size == 2000003
    assert (transport.ice_state, transport.dtls_state, transport.sctp_state) == ("new", "new", "new")
    assert (transport.ice_selected_tuple, transport.dtls_remote_cert) == (None, None)
    assert transport.sctp_negotiated_capabilities is None
    dump = await transport.dump()
    assert dump["id"] == transport.id
    assert (dump["producer_ids"], dump["consumer_ids"]) == ([], [])
    assert (dump["ice_role"], dump["ice_state"], dump["dtls_state"]) == ("controlled", "new", "new")
    assert dump["ice_parameters"]["username_fragment"] == transport.ice_parameters.username_fragment
    assert [one["port"] for one in dump["ice_candidates"]] == [one.port for one in transport.ice_candidates]
    assert {(one["algorithm"], one["value"]) for one in dump["dtls_parameters"]["fingerprints"]} == {
        (one.algorithm, one.value) for one in transport.dtls_parameters.fingerprints
    }
    assert dump["dtls_parameters"]["role"] == transport.dtls_parameters.role == "auto"
    assert dump["sctp_state"] == "new"
    assert dump["sctp_parameters"]["port"] == 5000
    assert "rtp_listener" in dump
    assert "recv_rtp_header_extensions" in dump


async def test_without_sctp_nothing_is_said_of_it(transport: WebRtcTransport) -> None:
    assert (transport.sctp_parameters, transport.sctp_state) == (None, None)
    assert transport.sctp_negotiated_capabilities is None
    assert "sctp_parameters" not in await transport.dump()


async def test_a_port_may_be_fixed_or_in_a_range(router: Router) -> None:
    port = free_ports(2)
    fixed = await router.create_webrtc_transport([ListenInfo("tcp", "127.0.0.1", port=port, udp_reuse_port=True)])
    assert fixed.ice_candidates[0].port == port
    here = [ListenInfo("udp", "127.0.0.1", port_range=(port, port + 1))]
    ports = {(await router.create_webrtc_transport(here)).ice_candidates[0].port for _ in range(2)}
    assert ports == {port, port + 1}
    with pytest.raises(RequestRefused):
        await router.create_webrtc_transport(here)  # both are taken


@pytest.mark.parametrize(
    ("places", "error"),
    [
        ([], InvalidParameters),
        ([ListenInfo("udp", "127.0.0.1", port_range=(4000, 3000))], BridgeError),
        ([ListenInfo("udp", "123")], RequestRefused),
        ([ListenInfo("udp", "8.8.8.8")], RequestRefused),
        ([ListenInfo("smoke", "127.0.0.1")], InvalidMessage),  # type: ignore[arg-type]
        ([ListenInfo("udp", 127)], InvalidMessage),  # type: ignore[arg-type]
        ("127.0.0.1", BridgeError),
    ],
)
async def test_where_it_cannot_listen_no_transport_is_made(router: Router, places: Any, error: Any) -> None:
    with pytest.raises(error):
        await router.create_webrtc_transport(places)
    assert (await router.dump())["transport_ids"] == []


@pytest.mark.parametrize("option", ["enable_udp", "enable_tcp"])
async def test_which_protocols_a_server_offers_can_be_chosen(worker: Worker, router: Router, option: str) -> None:
    server = await worker.create_webrtc_server([LOOPBACK, ListenInfo("tcp", "127.0.0.1")])
    transport = await router.create_webrtc_transport(server, **{option: False})
    assert [one.protocol for one in transport.ice_candidates] == ["tcp" if option == "enable_udp" else "udp"]


@pytest.mark.parametrize(("option", "first"), [("prefer_udp", "udp"), ("prefer_tcp", "tcp")])
async def test_which_protocol_comes_first_can_be_chosen(
    worker: Worker, router: Router, option: str, first: str
) -> None:
    places = [ListenInfo("tcp", "127.0.0.1"), LOOPBACK]
    server = await worker.create_webrtc_server(places if first == "udp" else places[::-1])
    transport = await router.create_webrtc_transport(server, **{option: True})  # type: ignore[arg-type]
    best = max(transport.ice_candidates, key=lambda one: one.priority)
    assert best.protocol == first


async def test_buffers_of_its_socket_may_have_another_size(
    worker: Worker, router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    await worker.update_settings("debug", ["info"])
    place = ListenInfo("udp", "127.0.0.1", send_buffer_size=50_000, recv_buffer_size=60_000)
    with caplog.at_level("DEBUG", "worker_bridge.native_worker"):
        await router.create_webrtc_transport([place])
    assert "[send:100000, recv:120000]" in caplog.text  # the kernel doubles them: socket(7)


async def test_new_statistics_are_zero(transport: WebRtcTransport) -> None:
    [stats] = await transport.get_stats()
    assert (stats["type"], stats["transport_id"]) == ("webrtc-transport", transport.id)
    assert stats["timestamp"] > 0
    assert (stats["ice_role"], stats["ice_state"], stats["dtls_state"]) == ("controlled", "new", "new")
    assert {name: stats[name] for name in NOTHING_YET} == dict.fromkeys(NOTHING_YET, 0)
    assert stats.keys().isdisjoint({"sctp_state", "ice_selected_tuple", "max_incoming_bitrate"})


async def test_connect_takes_the_other_role_and_is_done_but_once(transport: WebRtcTransport) -> None:
    theirs = DtlsParameters((FINGERPRINT,), "client")
    await transport.connect(theirs)
    assert transport.dtls_parameters.role == "server"
    with pytest.raises(RequestRefused, match="already called"):
        await transport.connect(theirs)
    assert transport.dtls_parameters.role == "server"


@pytest.mark.parametrize(
    "theirs",
    [
        DtlsParameters((DtlsFingerprint("sha-256000", FINGERPRINT.value),), "client"),  # type: ignore[arg-type]
        DtlsParameters((FINGERPRINT,), "chicken"),  # type: ignore[arg-type]
        DtlsParameters((), "client"),
    ],
)
async def test_what_is_no_dtls_connects_nothing(transport: WebRtcTransport, theirs: DtlsParameters) -> None:
    for _ in range(2):
        with pytest.raises(BridgeError):
            await transport.connect(theirs)
    assert transport.dtls_parameters.role == "auto"
    await transport.connect(DtlsParameters((FINGERPRINT,)))


async def test_bitrates_are_limited_and_let_go_again(transport: WebRtcTransport) -> None:
    for name, limit in (("max_incoming", 1_000_000), ("max_outgoing", 2_000_000), ("min_outgoing", 100_000)):
        set_limit = getattr(transport, f"set_{name}_bitrate")
        await set_limit(limit)
        assert (await transport.get_stats())[0][f"{name}_bitrate"] == limit
        await set_limit(0)
        assert f"{name}_bitrate" not in (await transport.get_stats())[0]


async def test_the_least_bitrate_is_not_over_the_most(transport: WebRtcTransport) -> None:
    await transport.set_min_outgoing_bitrate(3_000_000)
    with pytest.raises(RequestRefused):
        await transport.set_max_outgoing_bitrate(2_000_000)
    await transport.set_min_outgoing_bitrate(0)
    await transport.set_max_outgoing_bitrate(2_000_000)
    with pytest.raises(RequestRefused):
        await transport.set_min_outgoing_bitrate(3_000_000)


@pytest.mark.parametrize("types", [("probation",), (), ("probation", "bwe")])
async def test_traces_are_those_asked_for(transport: WebRtcTransport, types: tuple[str, ...]) -> None:
    await transport.enable_trace_event(*types)
    assert set((await transport.dump())["trace_event_types"]) == set(types)


@pytest.mark.parametrize("types", [(123,), ("probation", 1.5), ("foo", "probation"), (None,)])
async def test_traces_that_there_are_not_are_refused(transport: WebRtcTransport, types: Any) -> None:
    with pytest.raises(InvalidParameters):
        await transport.enable_trace_event(*types)
    assert (await transport.dump())["trace_event_types"] == []


@pytest.mark.parametrize("role", ["client", "server"])
async def test_a_real_peer_connects(transport: WebRtcTransport, role: Any) -> None:
    told = recorded(transport, "icestatechange", "iceselectedtuplechange", "dtlsstatechange")
    async with WebRtcPeer.of(transport, role):
        await eventually(lambda: None if transport.connected else f"told {told}")
        chosen = transport.ice_selected_tuple
        assert chosen is not None
        assert chosen.local_port == transport.ice_candidates[0].port
        assert chosen.remote_ip == "127.0.0.1"
        assert "BEGIN CERTIFICATE" in (transport.dtls_remote_cert or "")
        assert transport.dtls_parameters.role == ("server" if role == "client" else "client")
        assert [value for event, value in told if event == "icestatechange"] == ["connected", "completed"]
        assert [value for event, value in told if event == "dtlsstatechange"] == ["connecting", "connected"]
        assert [value for event, value in told if event == "iceselectedtuplechange"] == [chosen]
        [stats] = await transport.get_stats()
        assert (stats["ice_state"], stats["dtls_state"]) == ("completed", "connected")
        assert stats["ice_selected_tuple"]["remote_port"] == chosen.remote_port
    await eventually(lambda: None if transport.dtls_state == "closed" else "DTLS is up")


async def test_a_closed_transport_is_gone(router: Router, transport: WebRtcTransport) -> None:
    told = recorded(transport, "close", "routerclose")
    transport.close()
    assert told == [("close", CloseReason.REQUESTED)]
    assert (transport.ice_state, transport.dtls_state, transport.sctp_state) == ("closed", "closed", None)
    assert (await router.dump())["transport_ids"] == []
    for ask in (
        transport.dump,
        transport.get_stats,
        transport.restart_ice,
        lambda: transport.connect(DtlsParameters((FINGERPRINT,))),
        lambda: transport.set_max_incoming_bitrate(200_000),
        lambda: transport.set_max_outgoing_bitrate(200_000),
        lambda: transport.set_min_outgoing_bitrate(100_000),
        transport.enable_trace_event,
    ):
        with pytest.raises(ResourceClosed, match=transport.id):
            await ask()


@pytest.mark.parametrize("ended", ["router", "worker"])
async def test_a_transport_ends_with_its_router_and_its_worker(worker: Worker, router: Router, ended: str) -> None:
    transport = await router.create_webrtc_transport([LOOPBACK], sctp=SctpOptions())
    told = recorded(transport, "close", "routerclose", "sctpstatechange")
    if ended == "router":
        router.close()
    else:
        await worker.close()
    reason = CloseReason.OWNER_CLOSED if ended == "router" else CloseReason.WORKER_DIED
    assert told == ["routerclose", ("close", reason)]
    assert (transport.ice_state, transport.dtls_state, transport.sctp_state) == ("closed", "closed", "closed")
    assert transport.ice_selected_tuple is None
    with pytest.raises(ResourceClosed, match=transport.id):
        await transport.dump()
