"""The key set: which keys are taken, and what happens while its source changes, lies or is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from app.access.jwks import JwksError, parse_jwks
from app.access.tokens import Authenticator
from app.settings import Settings
from tests.app.access.signed_tokens import (
    GOOD,
    NOW,
    OTHER_RSA_KEY,
    SECRET,
    Clock,
    Json,
    b64,
    ec_jwk,
    es256,
    hs256,
    jwks,
    number,
    refused,
    rs256,
    rsa_jwk,
)


@pytest.mark.parametrize(
    "jwk",
    [
        rsa_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024)),
        rsa_jwk(e=number(1)), rsa_jwk(e=""), rsa_jwk(n="!"), rsa_jwk(n=7), rsa_jwk(n=None), rsa_jwk(n="A"),
        rsa_jwk(n=number((1 << 16384) + 1)),
        rsa_jwk(use="enc"), rsa_jwk(key_ops=["encrypt"]), rsa_jwk(key_ops="verify"), rsa_jwk(alg="RS512"),
        rsa_jwk(alg="HS256"), rsa_jwk(alg="none"), rsa_jwk(d="AQAB"), rsa_jwk(kid=7), rsa_jwk(kty="oct"),
        ec_jwk(crv="P-521"), ec_jwk(crv="secp256k1"), ec_jwk(x="AQ"), ec_jwk(y=None), ec_jwk(alg="RS256"),
        ec_jwk(d="AQ"),
        ec_jwk(ec.generate_private_key(ec.SECP384R1())),
        {"kty": "oct", "kid": "h", "alg": "HS256", "k": b64(SECRET.encode())},
        {"kty": "OKP", "crv": "Ed25519", "x": "AQ"},
        {}, [], "key", None,
    ],
)  # fmt: skip
def test_a_key_that_is_weak_or_not_for_us_is_left_out(jwk: Any, caplog: pytest.LogCaptureFixture) -> None:
    keys = parse_jwks(jwks(jwk, ec_jwk(kid="good")))
    assert [key.key_id for key in keys] == ["good"]
    assert "a key of the JWKS is not used" in caplog.text


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b"{}", b'{"keys": {}}', b'{"keys": []}', jwks(*[rsa_jwk()] * 65), jwks({"kty": "oct"})],
)
def test_a_document_without_usable_keys_is_refused(document: bytes) -> None:
    with pytest.raises(JwksError, match="JWKS"):
        parse_jwks(document)


class KeyServer:
    """A real HTTP server that serves a JWKS, counts, and fails on demand."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.status = 200
        self.moved = False
        self.fetches = 0
        self.hold: asyncio.Event | None = None
        self.holding = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.fetches += 1
        if self.hold is not None:
            self.holding.set()
            await self.hold.wait()
        if self.moved and request.path == "/jwks":
            raise web.HTTPFound("/moved")
        return web.Response(body=self.document, status=self.status)

    @classmethod
    @asynccontextmanager
    async def running(cls, *keys: Json) -> AsyncIterator[tuple[KeyServer, str]]:
        keyserver = cls(jwks(*keys))
        app = web.Application()
        app.router.add_get("/jwks", keyserver.answer)
        app.router.add_get("/moved", keyserver.answer)
        async with TestServer(app) as server:
            yield keyserver, str(server.make_url("/jwks"))


@asynccontextmanager
async def by_url(url: str, steady_clock: Callable[[], float]) -> AsyncIterator[Authenticator]:
    settings = Settings(jwt_jwks=url, jwt_secret=SECRET)
    async with Authenticator.open(settings, clock=lambda: NOW, steady_clock=steady_clock) as authenticator:
        yield authenticator


async def test_a_jwks_file_makes_public_keys_the_only_ones(tmp_path: Path) -> None:
    source = tmp_path / "keys.json"
    source.write_bytes(jwks(rsa_jwk(), ec_jwk()))
    async with by_url(str(source), Clock()) as authenticator:
        assert (await authenticator.authenticate(rs256(kid="r1"))).user_id == "ann"
        assert (await authenticator.authenticate(es256(kid="e1"))).user_id == "ann"
        assert await refused(authenticator, hs256())


async def test_an_unknown_key_id_fetches_the_keys_again_and_forgets_what_the_old_ones_signed() -> None:
    async with KeyServer.running(rsa_jwk()) as (server, url), by_url(url, Clock()) as authenticator:
        old = rs256(kid="r1")
        await authenticator.authenticate(old)
        server.document = jwks(ec_jwk())  # the other algorithm, too
        assert not await refused(authenticator, es256(kid="e1"))
        assert server.fetches == 2
        assert authenticator.recall(old) is None
        assert await refused(authenticator, old)


async def test_made_up_key_ids_do_not_become_a_stream_of_requests() -> None:
    clock = Clock()
    async with KeyServer.running(rsa_jwk()) as (server, url), by_url(url, clock) as authenticator:
        for number_ in range(5):
            assert await refused(authenticator, rs256(kid=f"made-up-{number_}"))
        assert server.fetches == 2
        clock.now += 30
        assert await refused(authenticator, rs256(kid="made-up"))
        assert server.fetches == 3


async def test_all_who_wait_for_a_new_key_share_one_fetch() -> None:
    async with KeyServer.running(rsa_jwk()) as (server, url), by_url(url, Clock()) as authenticator:
        server.document = jwks(rsa_jwk(), rsa_jwk(OTHER_RSA_KEY, kid="r2"))
        tokens = [rs256({**GOOD, "sub": f"user-{one}"}, OTHER_RSA_KEY, kid="r2") for one in range(5)]
        claims = await asyncio.gather(*(authenticator.authenticate(token) for token in tokens))
        assert [one.user_id for one in claims] == [f"user-{one}" for one in range(5)]
        assert server.fetches == 2


async def test_a_token_of_a_foreign_algorithm_fetches_nothing() -> None:
    async with KeyServer.running(rsa_jwk()) as (server, url), by_url(url, Clock()) as authenticator:
        assert await refused(authenticator, hs256(kid="new"))
        assert server.fetches == 1


async def test_keys_that_lie_behind_a_redirect_are_not_fetched() -> None:
    async with KeyServer.running(rsa_jwk()) as (server, url), by_url(url, Clock()) as authenticator:
        server.moved = True
        server.document = jwks(rsa_jwk(OTHER_RSA_KEY, kid="new"))
        assert await refused(authenticator, rs256(key=OTHER_RSA_KEY, kid="new"))
        assert server.fetches == 2


async def test_an_impatient_client_does_not_end_the_fetch_for_the_others() -> None:
    async with KeyServer.running(rsa_jwk()) as (server, url), by_url(url, Clock()) as authenticator:
        server.document = jwks(ec_jwk())
        server.hold = asyncio.Event()
        impatient, patient = (asyncio.create_task(authenticator.authenticate(es256(kid="e1"))) for _ in range(2))
        await server.holding.wait()
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        server.hold.set()
        assert (await patient).user_id == "ann"
        assert server.fetches == 2


@pytest.mark.parametrize("status", [500, 404])
async def test_the_last_good_keys_stay_while_the_source_is_down(status: int, caplog: pytest.LogCaptureFixture) -> None:
    async with KeyServer.running(rsa_jwk()) as (server, url), by_url(url, Clock()) as authenticator:
        server.status = status
        assert await refused(authenticator, rs256(kid="new"))
        assert not await refused(authenticator, rs256(kid="r1"))
        assert "the last good keys stay in use" in caplog.text


async def test_rubbish_does_not_replace_good_keys() -> None:
    clock = Clock()
    async with KeyServer.running(rsa_jwk()) as (server, url), by_url(url, clock) as authenticator:
        for rubbish in (b"<html>", b'{"keys": []}', jwks(rsa_jwk(kid="new")) + b" " * 300_000):
            server.document = rubbish
            clock.now += 30
            assert await refused(authenticator, rs256(kid="new"))
            assert not await refused(authenticator, rs256(kid="r1"))
        assert server.fetches == 4


async def test_closing_does_not_wait_for_a_fetch_under_way() -> None:
    async with KeyServer.running(rsa_jwk()) as (server, url):
        async with by_url(url, Clock()) as authenticator:
            server.hold = asyncio.Event()
            waiting = asyncio.create_task(authenticator.authenticate(rs256(kid="new")))
            await server.holding.wait()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        server.hold.set()


async def test_a_node_without_any_key_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(JwksError, match="can't be read"):
        async with by_url(str(tmp_path / "none.json"), Clock()):
            pass
    async with KeyServer.running(rsa_jwk()) as (server, url):
        server.status = 503
        with pytest.raises(JwksError, match="answers 503"):
            async with by_url(url, Clock()):
                pass
    with pytest.raises(JwksError, match="can't be fetched"):
        async with by_url(url, Clock()):
            pass
