"""Tokens and keys, signed and written by hand, so that no library tidies up what must be refused."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from app.access.tokens import Authenticator
from app.errors import Unauthorized

SECRET = "0123456789abcdef0123456789abcdef"
NOW = 1_800_000_000.0
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
GOOD = {"sub": "ann", "role": "user", "exp": NOW + 60}

Json = dict[str, Any]


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Json, payload: Any, sign: Callable[[bytes], bytes]) -> str:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signing_input = f"{b64(json.dumps(header).encode())}.{b64(raw)}"
    return f"{signing_input}.{b64(sign(signing_input.encode()))}"


def hs256(payload: Any = GOOD, secret: str | bytes = SECRET, **header: Any) -> str:
    key = secret.encode() if isinstance(secret, str) else secret
    return signed({"alg": "HS256", **header}, payload, lambda raw: hmac.new(key, raw, hashlib.sha256).digest())


def rs256(payload: Any = GOOD, key: rsa.RSAPrivateKey = RSA_KEY, **header: Any) -> str:
    return signed({"alg": "RS256", **header}, payload, lambda raw: key.sign(raw, padding.PKCS1v15(), hashes.SHA256()))


def es256(payload: Any = GOOD, key: ec.EllipticCurvePrivateKey = EC_KEY, **header: Any) -> str:
    def sign(raw: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(raw, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    return signed({"alg": "ES256", **header}, payload, sign)


def number(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def rsa_jwk(key: rsa.RSAPrivateKey = RSA_KEY, **more: Any) -> Json:
    public = key.public_key().public_numbers()
    return {"kty": "RSA", "kid": "r1", "n": number(public.n), "e": number(public.e), **more}


def ec_jwk(key: ec.EllipticCurvePrivateKey = EC_KEY, **more: Any) -> Json:
    public = key.public_key().public_numbers()
    size = (key.curve.key_size + 7) // 8
    x, y = (b64(value.to_bytes(size, "big")) for value in (public.x, public.y))
    return {"kty": "EC", "crv": "P-256", "kid": "e1", "x": x, "y": y, **more}


def jwks(*keys: Json) -> bytes:
    return json.dumps({"keys": keys}).encode()


async def refused(authenticator: Authenticator, token: str | None) -> bool:
    """Whether the token is refused; the error may tell no more than whether there was one."""
    try:
        await authenticator.authenticate(token)
    except Unauthorized as error:
        if error.token_given is not (token is not None):
            raise AssertionError(f"token_given is {error.token_given} for {token!r}") from error
        return True
    return False
