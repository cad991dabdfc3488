"""PlainTransport: where it listens, what it says of itself, connecting, SRTP, and its end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import free_ports
from tests.worker_bridge.listening import recorded
from tests.worker_bridge.parity.test_parity_webrtc_transport import NOTHING_YET
from tests.worker_bridge.rtp_peer import LOOPBACK
from worker_bridge.connectivity import ListenInfo, SrtpParameters
from worker_bridge.errors import BridgeError, InvalidMessage, InvalidParameters, RequestRefused, ResourceClosed
from worker_bridge.plain_transport import PlainTransport
from worker_bridge.resource import CloseReason
from worker_bridge.router import Router
from worker_bridge.sctp import SctpOptions
from worker_bridge.worker import Worker

GCM = SrtpParameters("AEAD_AES_256_GCM", "YTdjcDBvY2JoMGY5YXNlNDc0eDJsdGgwaWRvNnJsamRrdG16aWVpZHphdHo=")
SHA1_80 = SrtpParameters("AES_CM_128_HMAC_SHA1_80", "ZnQ3eWJraDg0d3ZoYzM5cXN1Y2pnaHU5NWxrZTVv")
MULTICAST = "224.0.0.1"


@pytest.fixture
async def transport(router: Router) -> PlainTransport:
    return await router.create_plain_transport(LOOPBACK)


async def test_a_new_transport_is_known_to_all(router: Router) -> None:
    told = recorded(router, "newtransport")
    announced = ListenInfo("udp", "127.0.0.1", "9.9.9.1")
    transport = await router.create_plain_transport(announced, sctp=SctpOptions(), app_data={"foo": "bar"})
    assert told == [("newtransport", transport)]
    assert (transport.type, transport.closed, transport.app_data) == ("plain", False, {"foo": "bar"})
    assert (transport.tuple.local_address, transport.tuple.protocol) == ("9.9.9.1", "udp")
    assert transport.tuple.local_port > 0
    assert (transport.tuple.remote_ip, transport.tuple.remote_port) == (None, None)
    assert (transport.rtcp_tuple, transport.srtp_parameters) == (None, None)
    sctp = transport.sctp_parameters
    assert sctp is not None
    assert (sctp.port, sctp.max_message_size, sctp.is_data_channel) == (5000, 262_144, False)
    assert (transport.sctp_state, transport.sctp_negotiated_capabilities) == ("new", None)
    dump = await transport.dump()
    assert (dump["id"], dump["producer_ids"], dump["consumer_ids"]) == (transport.id, [], [])
    assert (dump["rtcp_mux"], dump["comedia"], dump["sctp_state"]) == (True, False, "new")
    assert dump["tuple"]["local_port"] == transport.tuple.local_port
    assert (await router.dump())["transport_ids"] == [transport.id]


async def test_rtp_and_rtcp_may_have_ports_of_their_own(router: Router) -> None:
    port = free_ports(2)
    transport = await router.create_plain_transport(
        ListenInfo("udp", "127.0.0.1", port=port), rtcp_listen_info=ListenInfo("udp", "127.0.0.1", port=port + 1)
    )
    assert transport.rtcp_tuple is not None
    assert (transport.tuple.local_port, transport.rtcp_tuple.local_port) == (port, port + 1)
    assert (transport.sctp_parameters, transport.sctp_state) == (None, None)
    dump = await transport.dump()
    assert dump["rtcp_mux"] is False
    assert dump["rtcp_tuple"]["local_port"] == port + 1


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (ListenInfo("udp", "127.0.0.1", port_range=(4000, 3000)), BridgeError),
        (ListenInfo("udp", "123"), RequestRefused),
        (ListenInfo("udp", "8.8.8.8"), RequestRefused),
        (ListenInfo("tcp", "127.0.0.1"), InvalidParameters),
        (ListenInfo("udp", ["127.0.0.1"]), InvalidMessage),  # type: ignore[arg-type]
        ("127.0.0.1", BridgeError),
    ],
)
async def test_where_it_cannot_listen_no_transport_is_made(router: Router, place: Any, error: Any) -> None:
    with pytest.raises(error):
        await router.create_plain_transport(place)
    assert (await router.dump())["transport_ids"] == []


async def test_a_port_is_shared_only_where_that_is_asked_for(router: Router) -> None:
    port = free_ports(1)
    shared = ListenInfo("udp", MULTICAST, port=port, udp_reuse_port=True, ipv6_only=True)
    assert {(await router.create_plain_transport(shared)).tuple.local_port for _ in range(2)} == {port}
    alone = ListenInfo("udp", MULTICAST, port=free_ports(1))
    await router.create_plain_transport(alone)
    with pytest.raises(RequestRefused):
        await router.create_plain_transport(alone)


async def test_new_statistics_are_zero(transport: PlainTransport) -> None:
    [stats] = await transport.get_stats()
    assert (stats["type"], stats["transport_id"]) == ("plain-rtp-transport", transport.id)
    assert {name: stats[name] for name in NOTHING_YET} == dict.fromkeys(NOTHING_YET, 0)
    assert stats["tuple"]["local_address"] == "127.0.0.1"
    assert stats["tuple"]["local_port"] == transport.tuple.local_port
    assert "rtcp_tuple" not in stats


async def test_connect_says_where_the_peer_is_and_is_done_but_once(router: Router) -> None:
    transport = await router.create_plain_transport(LOOPBACK, rtcp_mux=False)
    await transport.connect(ip="127.0.0.4", port=1234, rtcp_port=1235)
    with pytest.raises(RequestRefused, match="already called"):
        await transport.connect(ip="127.0.0.4", port=1234, rtcp_port=1235)
    assert (transport.tuple.remote_ip, transport.tuple.remote_port) == ("127.0.0.4", 1234)
    assert transport.rtcp_tuple is not None
    assert (transport.rtcp_tuple.remote_ip, transport.rtcp_tuple.remote_port) == ("127.0.0.4", 1235)


@pytest.mark.parametrize(
    "peer",
    [
        {},
        {"ip": "::::1234"},
        {"ip": "127.0.0.1", "port": 1234},  # and where to send RTCP?
        {"ip": "127.0.0.1", "rtcp_port": 1235},
        {"ip": "127.0.0.2", "port": 9998, "rtcp_port": 9999, "srtp_parameters": SHA1_80},  # without SRTP
        {"ip": "127.0.0.2", "port": "chicken", "rtcp_port": 9999},
    ],
)
async def test_where_no_peer_can_be_nothing_is_connected(router: Router, peer: dict[str, Any]) -> None:
    transport = await router.create_plain_transport(LOOPBACK, rtcp_mux=False)
    with pytest.raises((RequestRefused, InvalidMessage)):
        await transport.connect(**peer)
    assert transport.tuple.remote_port is None
    await transport.connect(ip="127.0.0.1", port=1234, rtcp_port=1235)


@pytest.mark.parametrize(
    "srtp",
    [
        None,
        1,
        SrtpParameters(None, SHA1_80.key_base64),  # type: ignore[arg-type]
        SrtpParameters("AES_CM_128_HMAC_SHA1_80", None),  # type: ignore[arg-type]
        SrtpParameters("FOO", SHA1_80.key_base64),  # type: ignore[arg-type]
        SrtpParameters(123, SHA1_80.key_base64),  # type: ignore[arg-type]
        SrtpParameters("AES_CM_128_HMAC_SHA1_80", []),  # type: ignore[arg-type]
        SrtpParameters("AES_CM_128_HMAC_SHA1_80", "dG9vIHNob3J0"),
    ],
)
async def test_srtp_wants_a_suite_and_a_key(router: Router, srtp: Any) -> None:
    transport = await router.create_plain_transport(LOOPBACK, srtp_crypto_suite="AES_CM_128_HMAC_SHA1_80")
    with pytest.raises(BridgeError):
        await transport.connect(ip="127.0.0.2", port=9999, srtp_parameters=srtp)
    assert transport.tuple.remote_port is None


@pytest.mark.parametrize("comedia", [False, True])
async def test_the_peers_suite_is_taken_over(router: Router, comedia: bool) -> None:
    transport = await router.create_plain_transport(
        LOOPBACK, srtp_crypto_suite="AES_CM_128_HMAC_SHA1_80", comedia=comedia
    )
    ours = transport.srtp_parameters
    assert ours is not None
    assert (ours.crypto_suite, len(ours.key_base64)) == ("AES_CM_128_HMAC_SHA1_80", 40)
    where: dict[str, Any] = {} if comedia else {"ip": "127.0.0.2", "port": 9999}
    await transport.connect(**where, srtp_parameters=GCM)
    ours = transport.srtp_parameters
    assert (ours.crypto_suite, len(ours.key_base64)) == ("AEAD_AES_256_GCM", 60)
    assert transport.tuple.local_address == "127.0.0.1"
    assert transport.tuple.remote_ip == (None if comedia else "127.0.0.2")


async def test_a_closed_transport_is_gone(router: Router, transport: PlainTransport) -> None:
    told = recorded(transport, "close", "routerclose")
    transport.close()
    assert told == [("close", CloseReason.REQUESTED)]
    assert (await router.dump())["transport_ids"] == []
    for ask in (transport.dump, transport.get_stats, lambda: transport.connect(ip="127.0.0.1", port=1)):
        with pytest.raises(ResourceClosed, match=transport.id):
            await ask()


@pytest.mark.parametrize("ended", ["router", "worker"])
async def test_a_transport_ends_with_its_router_and_its_worker(
    worker: Worker, router: Router, transport: PlainTransport, ended: str
) -> None:
    told = recorded(transport, "close", "routerclose")
    if ended == "router":
        router.close()
    else:
        await worker.close()
    reason = CloseReason.OWNER_CLOSED if ended == "router" else CloseReason.WORKER_DIED
    assert told == ["routerclose", ("close", reason)]
    with pytest.raises(ResourceClosed, match=transport.id):
        await transport.dump()
