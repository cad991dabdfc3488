"""coturn, set up as ``deploy/turnserver.conf`` says, with the credentials that a node hands out."""

from __future__ import annotations

import asyncio
import socket

import aiohttp
import pytest
from aioice.stun import TransactionError
from aioice.turn import create_turn_endpoint

from tests.conftest import eventually, free_ports, serving
from tests.coturn import SECRET, running_coturn
from tests.integration.conftest import open_call_on
from voiceplane.doctor import turn

QUOTA = 8  # relays of one user name, as the file says


@pytest.fixture(scope="module")
def coturn(tmp_path_factory):
    """One on loopback, whose relays lead to 127.0.0.1 alone, as a deployment's lead to the node's address alone."""
    with running_coturn(
        tmp_path_factory.mktemp("coturn"), "127.0.0.1", free_ports(2), "--allow-loopback-peers"
    ) as made:
        yield made


class RelayedDatagrams(asyncio.DatagramProtocol):
    """What came, what went wrong, and that it is over."""

    def __init__(self):
        self.heard, self.errors, self.over = [], [], False

    def datagram_received(self, data, addr):
        self.heard.append((data, addr))

    def error_received(self, exc):
        self.errors.append(exc)

    def connection_lost(self, exc):
        self.over = True


async def up(coturn, settings_with):
    """Until the server answers; it says nowhere that it is ready."""

    async def why_not():
        finding = await turn.turn(settings_with(turn_urls=(coturn.url,), turn_secret=SECRET))
        return "" if finding.state == "ok" else finding.found

    await eventually(why_not)


async def credentials(server):
    """The only ICE server that RTC-02 names."""
    async with aiohttp.ClientSession() as http:
        call = await open_call_on(server, http)
        (server_named,) = (await call.user.create_transport(call.call_id, "send")).ice_servers
    return server_named


async def ice_servers_of(party, call_id):
    """As one who reloads the page again and again: each time with a new transport."""
    transport = await party.create_transport(call_id, "send")
    await party.request("DELETE", f"/rtc/transports/{transport.transport_id}")
    return transport.ice_servers[0]


async def relay_of(ice):
    host, _, port = ice["urls"][0].removeprefix("turn:").partition(":")
    return await create_turn_endpoint(RelayedDatagrams, (host, int(port)), ice["username"], ice["credential"])


async def test_a_relay_of_the_credentials_from_rtc_02_leads_to_the_node_and_nowhere_else(coturn, settings_with):
    await up(coturn, settings_with)
    async with serving(settings_with(turn_urls=(coturn.url,), turn_secret=SECRET)) as server:
        ice = await credentials(server)
    relay, received = await relay_of(ice)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.setblocking(False)
        relay.sendto(b"there", peer.getsockname())
        data, sender = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(peer, 100), 5)
        assert (data, sender) == (b"there", relay.get_extra_info("sockname"))
        peer.sendto(b"and back", sender)
        await eventually(lambda: not received.heard)
        relay.sendto(b"astray", ("127.0.0.2", peer.getsockname()[1]))
        await eventually(lambda: not received.errors)
    relay.close()
    await eventually(lambda: not received.over)
    assert received.heard == [(b"and back", peer_address := received.heard[0][1])]
    assert peer_address[0] == "127.0.0.1"
    assert isinstance(received.errors[0], TransactionError)
    assert "403" in str(received.errors[0])


async def test_who_asks_again_and_again_gets_no_more_relays_than_one_user_may_have(coturn, settings_with):
    await up(coturn, settings_with)
    node = serving(settings_with(turn_urls=(coturn.url,), turn_secret=SECRET))
    async with node as server, aiohttp.ClientSession() as http:
        call = await open_call_on(server, http)
        asked = [await ice_servers_of(call.user, call.call_id) for _ in range(QUOTA + 1)]
        others = await ice_servers_of(call.otomo, call.call_id)
    relays = [await relay_of(ice) for ice in asked[:QUOTA]]
    with pytest.raises(TransactionError, match="486"):  # RFC 8656 §7.2: Allocation Quota Reached
        await relay_of(asked[QUOTA])
    relays.append(await relay_of(others))
    assert len(relays) == QUOTA + 1
    for relay, received in relays:
        relay.close()
        await eventually(lambda received=received: not received.over)


async def test_the_doctor_gets_a_relay_by_udp_and_tcp(coturn, settings_with):
    await up(coturn, settings_with)
    urls = (coturn.url, f"{coturn.url}?transport=tcp")
    finding = await turn.turn(settings_with(turn_urls=urls, turn_secret=SECRET))
    assert (finding.state, finding.found) == ("ok", f"{', '.join(urls)}: gave a relay")


async def test_another_secret_than_the_servers_is_a_failure(coturn, settings_with):
    await up(coturn, settings_with)
    finding = await turn.turn(settings_with(turn_urls=(coturn.url,), turn_secret="another"))
    assert finding.state == "fail"
    assert "401" in finding.found
    assert "VOICEPLANE_TURN_SECRET" in finding.mend


async def test_a_server_that_is_not_there_is_a_failure(settings_with):
    url = f"turn:127.0.0.1:{free_ports(1)}?transport=tcp"
    finding = await turn.turn(settings_with(turn_urls=(url,), turn_secret=SECRET))
    assert (finding.state, finding.found) == ("fail", f"{url}: Connection refused")
