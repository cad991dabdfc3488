"""Signatures of the Standard Webhooks specification: HMAC-SHA256 over id, time and body, by one or more secrets."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
KEY_BYTES = 32  # of those that are made here
LEAST_BYTES, MOST_BYTES = 24, 64  # of a key, by the specification


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


def is_secret(text: str) -> bool:
    try:
        return text.startswith(PREFIX) and LEAST_BYTES <= len(key_of(text)) <= MOST_BYTES
    except binascii.Error:
        return False


def key_of(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def headers(delivery_id: str, at_s: int, body: bytes, by: Iterable[str]) -> dict[str, str]:
    """The headers that say which delivery it is, when it was sent, and who signed it; one signature for each secret."""
    signed = f"{delivery_id}.{at_s}.".encode() + body
    signatures = (hmac.new(key_of(secret), signed, hashlib.sha256).digest() for secret in by)
    return {
        "webhook-id": delivery_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
    }
