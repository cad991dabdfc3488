"""A key that is withdrawn while sockets are open that its tokens opened: on a whole node, with keys from a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from app.signaling.limits import CloseCode
from tests.app.access.signed_tokens import GOOD, OTHER_RSA_KEY, ec_jwk, es256, jwks, rs256, rsa_jwk
from tests.conftest import Server, serving


def headers(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def claims(user_id: str) -> dict[str, Any]:
    return {**GOOD, "sub": user_id, "role": "user", "exp": time.time() + 600, "iat": time.time()}


async def status_of(http: aiohttp.ClientSession, node: Server, token: str) -> int:
    async with http.get(node.url("/rtc/capabilities"), headers=headers(token)) as answer:
        return answer.status


@pytest.mark.parametrize("by_subprotocol", [False, True])
async def test_sockets_of_a_withdrawn_key_are_closed_and_the_others_stay(
    settings_with: Any, tmp_path: Path, by_subprotocol: bool
) -> None:
    source = tmp_path / "keys.json"
    source.write_bytes(jwks(rsa_jwk(), ec_jwk()))
    withdrawn, kept = rs256(claims("ann"), kid="r1"), es256(claims("bob"), kid="e1")
    async with serving(settings_with(jwt_secret=None, jwt_jwks=str(source))) as node, aiohttp.ClientSession() as http:
        how: dict[str, Any] = (
            {"protocols": ("bearer", withdrawn)} if by_subprotocol else {"headers": headers(withdrawn)}
        )
        socket = await http.ws_connect(node.url("/ws"), **how)
        other = await http.ws_connect(node.url("/ws"), headers=headers(kept))
        for one in (socket, other):
            assert (await one.receive_json(timeout=10))["type"] == "otomo_list"
        assert await status_of(http, node, withdrawn) == 200

        source.write_bytes(jwks(ec_jwk(), rsa_jwk(OTHER_RSA_KEY, kid="r2")))
        new = rs256(claims("ann"), OTHER_RSA_KEY, kid="r2")  # whoever names the new key has the set fetched again
        assert await status_of(http, node, new) == 200

        message = await socket.receive(timeout=10)
        assert (message.type, message.data) == (WSMsgType.CLOSE, CloseCode.TOKEN_WITHDRAWN)
        assert await status_of(http, node, withdrawn) == 401
        await other.send_str('{"type":"ping"}')
        assert (await other.receive_json(timeout=10))["type"] == "pong"
        await socket.close()
        await other.close()
