"""WebRtcServer: its sockets, the transports that it carries, and its end."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import free_ports
from tests.worker_bridge.listening import recorded
from worker_bridge.connectivity import ListenInfo
from worker_bridge.errors import BridgeError, RequestRefused, ResourceClosed, WorkerGone
from worker_bridge.native import NativeWorker
from worker_bridge.resource import CloseReason
from worker_bridge.webrtc_server import WebRtcServer
from worker_bridge.worker import Worker


def udp(port: int = 0, ip: str = "127.0.0.1", **more: Any) -> ListenInfo:
    return ListenInfo("udp", ip, port=port, **more)


def tcp(port: int = 0, **more: Any) -> ListenInfo:
    return ListenInfo("tcp", "127.0.0.1", port=port, **more)


@pytest.fixture
async def server(worker: Worker) -> WebRtcServer:
    port = free_ports(2)
    announced = tcp(port + 1, announced_address="media1.example", expose_internal_ip=True)
    return await worker.create_webrtc_server([udp(port), announced])


async def test_a_new_server_listens_where_it_was_told(worker: Worker) -> None:
    told = recorded(worker, "newwebrtcserver")
    port = free_ports(2)
    server = await worker.create_webrtc_server(
        [udp(port), tcp(port + 1, announced_address="media.example")], app_data={"edge": 123}
    )
    assert told == [("newwebrtcserver", server)]
    assert server.app_data == {"edge": 123}
    dump = await worker.dump()
    assert dump["web_rtc_server_ids"] == [server.id]
    assert dump["channel_message_handlers"]["channel_request_handlers"] == [server.id]
    assert await server.dump() == {
        "id": server.id,
        "udp_sockets": [{"ip": "127.0.0.1", "port": port}],
        "tcp_servers": [{"ip": "127.0.0.1", "port": port + 1}],
        "web_rtc_transport_ids": [],
        "local_ice_username_fragments": [],
    }


async def test_a_port_may_come_from_a_range(worker: Worker) -> None:
    port = free_ports(2)
    server = await worker.create_webrtc_server([udp(port_range=(port, port)), tcp(port_range=(port + 1, port + 1))])
    dump = await server.dump()
    assert dump["udp_sockets"] == [{"ip": "127.0.0.1", "port": port}]
    assert dump["tcp_servers"] == [{"ip": "127.0.0.1", "port": port + 1}]


async def test_without_a_port_the_worker_chooses(worker: Worker) -> None:
    server = await worker.create_webrtc_server([udp(), tcp()])
    dump = await server.dump()
    assert dump["udp_sockets"][0]["port"] > 0
    assert dump["tcp_servers"][0]["port"] > 0


@pytest.mark.parametrize("listen_infos", ["not a list", ["not a listen info"], []])
async def test_a_server_needs_something_to_listen_on(worker: Worker, listen_infos: Any) -> None:
    with pytest.raises(BridgeError):
        await worker.create_webrtc_server(listen_infos)
    assert (await worker.dump())["web_rtc_server_ids"] == []
    assert worker.load == 0


async def test_addresses_that_cannot_be_had_are_refused_whole(worker: Worker, native_worker: NativeWorker) -> None:
    port = free_ports(1)
    for infos in ([udp(port), udp(ip="203.0.113.4")], [udp(port), udp(port, announced_address="203.0.113.4")]):
        with pytest.raises(RequestRefused):
            await worker.create_webrtc_server(infos)
    assert (await worker.dump())["web_rtc_server_ids"] == []
    await worker.create_webrtc_server([udp(port)])  # nothing of the refused ones holds the port
    async with Worker.running(native_worker) as another:
        with pytest.raises(RequestRefused):
            await another.create_webrtc_server([udp(port)])


async def test_a_closed_server_is_gone(worker: Worker, server: WebRtcServer) -> None:
    told = recorded(server, "close", "workerclose")
    server.close()
    assert told == [("close", CloseReason.REQUESTED)]
    assert (await worker.dump())["web_rtc_server_ids"] == []
    with pytest.raises(ResourceClosed, match=server.id):
        await server.dump()


async def test_a_server_ends_with_its_worker(worker: Worker, server: WebRtcServer) -> None:
    told = recorded(server, "close", "workerclose")
    await worker.close()
    assert told == ["workerclose", ("close", CloseReason.WORKER_DIED)]
    with pytest.raises(ResourceClosed, match=server.id):
        await server.dump()
    with pytest.raises(WorkerGone):
        await worker.create_webrtc_server([udp()])


async def test_a_transport_on_a_server_comes_and_goes(worker: Worker, server: WebRtcServer) -> None:
    router = await worker.create_router()
    told = recorded(server, "webrtctransporthandled", "webrtctransportunhandled")
    made = recorded(router, "newtransport")
    transport = await router.create_webrtc_transport(server, app_data={"foo": "bar"})
    assert made == [("newtransport", transport)]
    assert told == [("webrtctransporthandled", transport)]
    assert transport.app_data == {"foo": "bar"}
    port = (await server.dump())["tcp_servers"][0]["port"]
    _, first, second = transport.ice_candidates
    assert [(one.address, one.port, one.protocol, one.type, one.tcp_type) for one in (first, second)] == [
        ("media1.example", port, "tcp", "host", "passive"),
        ("127.0.0.1", port, "tcp", "host", "passive"),
    ]
    assert first.priority > second.priority
    assert (transport.ice_state, transport.ice_selected_tuple) == ("new", None)
    dump = await server.dump()
    assert dump["web_rtc_transport_ids"] == [transport.id]
    assert [one["web_rtc_transport_id"] for one in dump["local_ice_username_fragments"]] == [transport.id]
    transport.close()
    assert told[1:] == [("webrtctransportunhandled", transport)]
    dump = await server.dump()
    assert (dump["web_rtc_transport_ids"], dump["local_ice_username_fragments"]) == ([], [])


async def test_a_server_takes_its_transports_along(worker: Worker, server: WebRtcServer) -> None:
    router = await worker.create_router()
    told = recorded(server, "webrtctransportunhandled", "close")
    transport = await router.create_webrtc_transport(server)
    heard = recorded(transport, "listenserverclose", "routerclose", "close")
    assert [one.protocol for one in transport.ice_candidates] == ["udp", "tcp", "tcp"]
    await transport.restart_ice()
    fragments = (await server.dump())["local_ice_username_fragments"]
    assert [one["web_rtc_transport_id"] for one in fragments] == [transport.id] * 2, "the old and the new one"
    server.close()
    assert heard == ["listenserverclose", ("close", CloseReason.OWNER_CLOSED)]
    assert told == [("webrtctransportunhandled", transport), ("close", CloseReason.REQUESTED)]
    assert (transport.ice_state, transport.dtls_state, transport.ice_selected_tuple) == ("closed", "closed", None)
    dump = await worker.dump()
    assert dump["web_rtc_server_ids"] == []
    assert dump["channel_message_handlers"]["channel_request_handlers"] == [router.id]
    assert (await router.dump())["transport_ids"] == []


async def test_a_router_that_closes_leaves_its_server(worker: Worker, server: WebRtcServer) -> None:
    router = await worker.create_router()
    told = recorded(server, "webrtctransportunhandled")
    transport = await router.create_webrtc_transport(server)
    router.close()
    assert told == [("webrtctransportunhandled", transport)]
    assert (await server.dump())["web_rtc_transport_ids"] == []
