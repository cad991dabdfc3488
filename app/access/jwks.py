"""The public keys that verify tokens: a JWK Set (RFC 7517) from a file or a URL, kept fresh.

Owns fetching, checking and replacing keys. Knows nothing of tokens and nothing of the JWT library: it hands out
``cryptography`` keys, each for the one algorithm that its type stands for.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import aiohttp
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers

from schemas.problem import InvalidBody
from schemas.strict_json import decode_object

FETCH_TIMEOUT_S = 5.0
REFRESH_EVERY_S = 600.0  # a revoked key is gone after this
REFRESH_AT_MOST_EVERY_S = 30.0  # whoever makes up key ids must not cause a stream of requests
MAX_DOCUMENT_BYTES = 256 * 1024
MAX_KEYS = 64
MIN_RSA_BITS = 2048  # RFC 7518 §3.3
MAX_RSA_BITS = 8192  # verifying with a longer one takes milliseconds
URL = re.compile(r"https?://", re.IGNORECASE)

Algorithm = Literal["RS256", "ES256"]
Fetch = Callable[[], Awaitable[bytes]]

_log = logging.getLogger(__name__)


class JwksError(Exception):
    """The key set can't be fetched or holds nothing of use; the text is one sentence."""


class KeyRefusedError(Exception):
    """One key of a set can't be used: it has another use or algorithm, is too weak, or malformed."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """One checked key. ``algorithm`` follows from its type; the key verifies no other."""

    key_id: str | None
    algorithm: Algorithm
    key: RSAPublicKey | EllipticCurvePublicKey


OnChange = Callable[[tuple[PublicKey, ...]], None]


class Jwks:
    """The current keys. They are replaced as a whole, and the last good ones stay while the source is down."""

    def __init__(self, source: str, fetch: Fetch, on_change: OnChange, clock: Callable[[], float]) -> None:
        self._source = source
        self._fetch = fetch
        self._on_change = on_change
        self._clock = clock
        self._document = b""
        self._refreshed_at = -math.inf
        self._refreshing: asyncio.Task[None] | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, source: str, on_change: OnChange, clock: Callable[[], float] = time.monotonic
    ) -> AsyncIterator[Jwks]:
        """Fetch the keys once, then keep them fresh until the end. ``on_change`` gets each new set of keys.

        :param source: a path, or an http(s) URL.
        Raises JwksError where the first fetch brings no usable key, because nobody could be let in.
        """
        async with fetcher(source) as fetch:
            jwks = cls(source, fetch, on_change, clock)
            await jwks.load()
            keeper = asyncio.create_task(jwks._keep_fresh(), name="jwks-refresh")
            try:
                yield jwks
            finally:
                tasks = [task for task in (keeper, jwks._refreshing) if task is not None]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def load(self) -> None:
        """Fetch now, and call ``on_change`` where the document has changed.

        Raises JwksError where that fails; the keys stay as they are.
        """
        document = await self._fetch()
        if document == self._document:
            return
        keys = parse_jwks(document)
        self._document = document
        _log.info("%d keys from %s", len(keys), self._source)
        self._on_change(keys)

    async def refresh(self) -> None:
        """Fetch because of an unknown key id: one fetch for all who wait, and one every REFRESH_AT_MOST_EVERY_S."""
        if self._refreshing is None:
            if self._clock() - self._refreshed_at < REFRESH_AT_MOST_EVERY_S:
                return
            self._refreshed_at = self._clock()
            self._refreshing = asyncio.create_task(self._try_load(), name="jwks-fetch")
            self._refreshing.add_done_callback(self._refreshed)
        await asyncio.shield(self._refreshing)  # a client that gives up must not end it for the others

    def _refreshed(self, _task: asyncio.Task[None]) -> None:
        self._refreshing = None

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_EVERY_S)
            await self._try_load()

    async def _try_load(self) -> None:
        try:
            await self.load()
        except JwksError as error:
            _log.warning("the last good keys stay in use: %s", error)


@asynccontextmanager
async def fetcher(source: str) -> AsyncIterator[Fetch]:
    """Gives the function that reads the document: by HTTP where ``source`` is a URL, else from a file."""
    if not URL.match(source):
        yield lambda: asyncio.to_thread(read_document, Path(source))
        return
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)) as session:
        yield lambda: fetch_document(session, source)


def read_document(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise JwksError(f"The JWKS file {path} can't be read: {error.strerror}.") from error


async def fetch_document(session: aiohttp.ClientSession, url: str) -> bytes:
    """The body behind ``url``, which must answer 200 itself: a redirect could lead to a server without TLS."""
    try:
        async with session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as response:
            if response.status != 200:
                raise JwksError(f"The JWKS URL {url} answers {response.status}.")
            document = bytearray()
            async for chunk in response.content.iter_any():
                document += chunk
                if len(document) > MAX_DOCUMENT_BYTES:
                    raise JwksError(f"The JWKS URL {url} answers more than {MAX_DOCUMENT_BYTES} bytes.")
            return bytes(document)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise JwksError(f"The JWKS URL {url} can't be fetched: {type(error).__name__} {error}.") from error


def parse_jwks(document: bytes) -> tuple[PublicKey, ...]:
    """The usable keys of a set; the others are named in the log and left out (RFC 7517 §5).

    Raises JwksError where it is no key set, or none of its keys can be used.
    """
    try:
        entries = decode_object(document).get("keys")
    except InvalidBody as error:
        raise JwksError(f"The JWKS {error.details[0].problem}.") from error
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise JwksError(f"The JWKS must be an object with a list of at most {MAX_KEYS} 'keys'.")
    keys = []
    for entry in entries:
        try:
            keys.append(parse_key(entry))
        except KeyRefusedError as error:
            _log.warning("a key of the JWKS is not used: %s", error)
    if not keys:
        raise JwksError("The JWKS holds no key that RS256 or ES256 tokens can be verified with.")
    return tuple(keys)


def parse_key(jwk: object) -> PublicKey:
    """One JWK (RFC 7517 §4) as a key: RSA of 2048 bits or more, or EC on P-256; public, and meant for signatures.

    Raises KeyRefusedError with the reason.
    """
    if not isinstance(jwk, dict):
        raise KeyRefusedError("it is not an object")
    key_id = jwk.get("kid")
    if not isinstance(key_id, str | None):
        raise KeyRefusedError("its kid is not a string")
    algorithm = algorithm_of(jwk)
    if jwk.get("use", "sig") != "sig" or "verify" not in as_list(jwk.get("key_ops", ["verify"])):
        raise KeyRefusedError(f"{key_id} is not for verifying signatures")
    if jwk.get("alg", algorithm) != algorithm:
        raise KeyRefusedError(f"{key_id} is for {jwk['alg']!r}")
    if "d" in jwk:
        raise KeyRefusedError(f"{key_id} is a private key: whoever read it can sign")
    try:
        return PublicKey(key_id, algorithm, rsa_key(jwk) if algorithm == "RS256" else ec_key(jwk))
    except ValueError as error:
        raise KeyRefusedError(f"{key_id} is malformed: {error}") from error


def algorithm_of(jwk: dict[str, object]) -> Algorithm:
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", _:
            return "RS256"
        case "EC", "P-256":
            return "ES256"
        case kty, crv:
            raise KeyRefusedError(f"{jwk.get('kid')} has the type {kty!r} {crv or ''}")


def as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def rsa_key(jwk: dict[str, object]) -> RSAPublicKey:
    modulus, exponent = number(jwk.get("n")), number(jwk.get("e"))
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise ValueError(f"{modulus.bit_length()} bits are not {MIN_RSA_BITS} to {MAX_RSA_BITS}")
    if exponent.bit_length() > 32:
        raise ValueError("its exponent is too large")
    return RSAPublicNumbers(exponent, modulus).public_key()  # refuses what is even, or below 3


def ec_key(jwk: dict[str, object]) -> EllipticCurvePublicKey:
    """The point; that it lies on the curve is checked by ``cryptography``."""
    return EllipticCurvePublicNumbers(number(jwk.get("x")), number(jwk.get("y")), SECP256R1()).public_key()


def number(text: object) -> int:
    """A Base64urlUInt (RFC 7518 §2)."""
    if not isinstance(text, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise ValueError("a number is not base64url text")
    try:
        return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")
    except binascii.Error as error:
        raise ValueError(f"a number is not base64url text: {error}") from error
