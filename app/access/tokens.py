"""Tokens: a JWT (RFC 7519) becomes :class:`Claims`, whose methods answer who may do what.

The only file that imports the JWT library, and stricter than it: the algorithms follow from the configured key and
never from the token (RFC 8725 §3.1), encrypted and unsigned tokens are refused, and the type of every claim is checked.
A refusal never says which check it was; the log does, at debug level and without the token.
"""

# mypy: disable-error-code="no-untyped-call"
# python-jose has no annotations; what it returns is cast here.

from __future__ import annotations

import logging
import math
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast, get_args

from jose import jwk, jws
from jose.exceptions import JOSEError

from app.access.jwks import Jwks, PublicKey
from app.access.standing import Standing
from app.errors import Forbidden, Unauthorized
from app.person import Person
from app.settings import Settings
from schemas.problem import InvalidBody
from schemas.strict_json import decode_object
from schemas.types import Role

MAX_TOKEN_LENGTH = 4096  # characters; what fits into a header, and is worth remembering
REMEMBERED_TOKENS = 8192  # the last so many verified tokens are not verified again
CLOCK_LEEWAY_S = 30  # how far the signer's clock may be ahead of ours: for nbf and iat, never for exp
MAX_USER_ID_LENGTH = 128  # characters
COMPACT_JWS = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")  # RFC 7515 §7.1; a JWE has five parts
WEBSOCKET_BEARER = "bearer"  # the subprotocol after which a browser sends its token

ROLES = frozenset(get_args(Role))

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Claims:
    """A verified token: who asks, as what, until when and since when (seconds since 1970, UTC); ``issued_at`` is None
    where it does not say."""

    user_id: str
    role: Role
    expires_at: float
    issued_at: float | None = field(default=None, compare=False)
    person: Person = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:  # made once, because every request reads it
        object.__setattr__(self, "person", Person(self.role, self.user_id))

    @property
    def is_admin(self) -> bool:
        return self.role == "admin"

    def require_admin(self) -> None:
        """Raises Forbidden for everybody else."""
        self._require(self.role == "admin")

    def require_caller(self) -> None:
        """Only users ask for calls, because only they pay. Raises Forbidden for others."""
        self._require(self.role == "user")

    def require_party(self, *parties: Person) -> None:
        """Raises Forbidden for whoever is none of ``parties``, admins included: they may look, but take no part."""
        self._require(self.person in parties)

    def require_reader(self, *parties: Person) -> None:
        """Raises Forbidden for whoever is neither one of ``parties`` nor an admin."""
        self._require(self.is_admin or self.person in parties)

    def _require(self, allowed: bool) -> None:
        if not allowed:
            raise Forbidden(str(self.person))


class TokenError(Exception):
    """Why a token is refused; for the log only."""


class UnknownKeyError(TokenError):
    """The token names a key that we don't have, or not yet."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a token must say besides being signed."""

    issuer: str | None = None
    audience: str | None = None
    max_life_s: float = math.inf  # from iat to exp, where it has an iat


@dataclass(frozen=True, slots=True)
class Key:
    """A key in the library's form, bound to its one algorithm."""

    algorithm: str
    key_id: str | None
    verifier: Any


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys that tokens may be signed with, and the algorithms that follow from how they were configured."""

    algorithms: frozenset[str]
    keys: tuple[Key, ...] = ()

    @classmethod
    def of_secret(cls, secret: str) -> Keyring:
        return cls(frozenset({"HS256"}), (Key("HS256", None, jwk.construct(secret, "HS256")),))

    @classmethod
    def of_public_keys(cls, keys: tuple[PublicKey, ...]) -> Keyring:
        ours = (Key(one.algorithm, one.key_id, jwk.construct(one.key, one.algorithm)) for one in keys)
        return cls(frozenset({"RS256", "ES256"}), tuple(ours))

    def find(self, algorithm: str, key_id: str | None) -> list[Any]:
        """The keys that may have signed a token with this header: any, where the token or the key has no key id."""
        return [
            key.verifier
            for key in self.keys
            if key.algorithm == algorithm and (key_id is None or key.key_id is None or key.key_id == key_id)
        ]


class Authenticator:
    """Turns tokens into claims, and remembers those that it verified until they expire."""

    def __init__(self, keyring: Keyring, rules: Rules, clock: Callable[[], float] = time.time) -> None:
        self._keyring = keyring
        self._rules = rules
        self._clock = clock
        self.standing = Standing(clock)
        self._jwks: Jwks | None = None
        self._key_listeners: list[Callable[[], None]] = []
        self._remembered: OrderedDict[str, Claims] = OrderedDict()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        settings: Settings,
        clock: Callable[[], float] = time.time,
        steady_clock: Callable[[], float] = time.monotonic,
    ) -> AsyncIterator[Authenticator]:
        """Where a JWKS is configured, only its keys verify tokens (RS256, ES256), else the shared secret (HS256).

        Raises SettingsError where there is no usable secret.
        Raises JwksError where the JWKS can't be had.
        """
        rules = Rules(settings.jwt_issuer, settings.jwt_audience, settings.max_token_s)
        if settings.jwt_jwks is None:
            yield cls(Keyring.of_secret(settings.signing_secret()), rules, clock)
            return
        authenticator = cls(Keyring.of_public_keys(()), rules, clock)
        async with Jwks.open(settings.jwt_jwks, authenticator.trust, steady_clock) as authenticator._jwks:
            yield authenticator

    def trust(self, keys: tuple[PublicKey, ...]) -> None:
        """Replace the keys, and forget the tokens that the former ones verified."""
        self._keyring = Keyring.of_public_keys(keys)
        self._remembered.clear()
        for listener in self._key_listeners:
            listener()

    def on_new_keys(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call ``listener()`` whenever the keys have changed. Returns the function that ends it."""
        self._key_listeners.append(listener)
        return partial(self._key_listeners.remove, listener)

    def still_accepts(self, token: str) -> bool:
        """Whether the present keys verify a token that was accepted before. Fetches no keys."""
        try:
            self._verify(token)
        except TokenError:
            return False
        return True

    def recall(self, token: str) -> Claims | None:
        """The claims of a token that was verified before and has not expired: the usual case; else None."""
        claims = self._remembered.get(token)
        if claims is None:
            return None
        if self._clock() >= claims.expires_at:
            del self._remembered[token]
            return None
        self._remembered.move_to_end(token)
        return claims

    async def authenticate(self, token: str | None) -> Claims:
        """Verify a token. Fetches the keys where it names one that is not known yet.

        Raises Unauthorized where there is no token, or a bad one.
        """
        if token is None:
            raise Unauthorized
        if (claims := self.recall(token)) is not None:
            return claims
        try:
            try:
                claims = self._verify(token)
            except UnknownKeyError:
                if self._jwks is None:
                    raise
                await self._jwks.refresh()
                claims = self._verify(token)
        except TokenError as error:
            _log.debug("token refused: %s", error)
            raise Unauthorized("invalid token", token_given=True) from error
        self._remember(token, claims)
        return claims

    def _remember(self, token: str, claims: Claims) -> None:
        self._remembered[token] = claims
        if len(self._remembered) > REMEMBERED_TOKENS:
            self._remembered.popitem(last=False)

    def _verify(self, token: str) -> Claims:
        payload = verified_payload(token, self._keyring)
        return claims_of(payload, self._rules, self._clock())


def verified_payload(token: str, keyring: Keyring) -> bytes:
    """The payload of a token that one of the keys signed. Raises TokenError otherwise."""
    if len(token) > MAX_TOKEN_LENGTH:
        raise TokenError("it is too long")
    if not COMPACT_JWS.fullmatch(token):
        raise TokenError("it is not a signed token")
    try:
        header = jws.get_unverified_header(token)
    except (JOSEError, ValueError, RecursionError) as error:
        raise TokenError("its header can't be read") from error
    algorithm, key_id = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in keyring.algorithms:
        raise TokenError("its algorithm is not ours")
    if "crit" in header or not isinstance(key_id, str | None):
        raise TokenError("its header asks for something that we don't do")  # RFC 7515 §4.1.11
    keys = keyring.find(algorithm, key_id)
    if not keys:
        raise UnknownKeyError("its key is not known")
    try:
        return cast(bytes, jws.verify(token, keys, [algorithm]))
    except (JOSEError, ValueError) as error:
        raise TokenError("its signature is wrong") from error


def claims_of(payload: bytes, rules: Rules, now: float) -> Claims:
    """The claims of a payload whose signature is right. Raises TokenError where one is missing or wrong."""
    try:
        claims = decode_object(payload)
    except InvalidBody as error:
        raise TokenError("its payload is no JSON object") from error
    expires_at = moment(claims, "exp")
    if expires_at is None or now >= expires_at:  # RFC 7519 §4.1.4: "on or after" is too late
        raise TokenError("it has expired, or would never")
    for name in ("nbf", "iat"):
        if (moment(claims, name) or 0) > now + CLOCK_LEEWAY_S:
            raise TokenError(f"its {name} is in the future")
    if rules.issuer is not None and claims.get("iss") != rules.issuer:
        raise TokenError("its iss is another")
    audience = claims.get("aud")
    if rules.audience is not None and rules.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenError("its aud is another")
    role = claims.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise TokenError("its role is none of ours")
    issued_at = moment(claims, "iat")
    if issued_at is not None and expires_at - issued_at > rules.max_life_s:
        raise TokenError("it would live too long")
    return Claims(subject(claims), cast(Role, role), expires_at, issued_at)


def moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 §2) in seconds, or None where there is none."""
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TokenError(f"its {name} is not a number")
    return float(value)


def subject(claims: Mapping[str, Any]) -> str:
    """The user id: ``sub`` or its alias ``userId``; where both are given, they must agree."""
    ids = [claims[name] for name in ("sub", "userId") if name in claims]
    if not ids or not all(map(is_user_id, ids)) or any(one != ids[0] for one in ids):
        raise TokenError("its sub is missing, ambiguous or no id")
    return cast(str, ids[0])


def is_user_id(value: object) -> bool:
    """Whether this can be a user's id: 1 to 128 printable characters, none of them a space."""
    return isinstance(value, str) and 0 < len(value) <= MAX_USER_ID_LENGTH and value.isprintable() and " " not in value


def bearer_token(authorization: str | None) -> str | None:
    """The token of an ``Authorization`` header (RFC 6750 §2.1), or None where it has another scheme or none."""
    if authorization is None:
        return None
    if authorization.startswith("Bearer "):  # the usual spelling
        return authorization[7:].strip() or None
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def offered_token(authorization: str | None, subprotocols: str | None) -> str | None:
    """The token of a WebSocket's handshake: of its ``Authorization`` header, else of its subprotocols."""
    return bearer_token(authorization) or websocket_token(subprotocols)


def websocket_token(subprotocols: str | None) -> str | None:
    """The token of a ``Sec-WebSocket-Protocol: bearer, <JWT>`` header: browsers can set no other one."""
    offered = [one.strip() for one in (subprotocols or "").split(",")]
    return offered[1] if len(offered) == 2 and offered[0] == WEBSOCKET_BEARER and offered[1] else None


def issue_token(settings: Settings, user_id: str, role: str, ttl_s: float, now: float | None = None) -> str:
    """A token that this node accepts, for tests, tools and whoever has no identity provider yet.

    :param ttl_s: seconds until it expires.
    Raises SettingsError where tokens are signed elsewhere.
    Raises ValueError where the id or the role is not one that we accept.
    """
    secret = settings.signing_secret()
    if not is_user_id(user_id):
        raise ValueError(f"A user id is 1 to {MAX_USER_ID_LENGTH} printable characters without spaces.")
    if role not in ROLES:
        raise ValueError(f"A role is user, otomo or admin, not {role!r}.")
    if ttl_s > settings.max_token_s:
        raise ValueError(f"A token lives {settings.max_token_hours:g} h at most (MAX_TOKEN_HOURS).")
    issued_at = int(time.time() if now is None else now)
    claims: dict[str, object] = {"sub": user_id, "role": role, "iat": issued_at, "exp": issued_at + math.ceil(ttl_s)}
    if settings.jwt_issuer is not None:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience is not None:
        claims["aud"] = settings.jwt_audience
    return cast(str, jws.sign(claims, jwk.construct(secret, "HS256"), algorithm="HS256"))
