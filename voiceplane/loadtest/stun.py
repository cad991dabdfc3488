"""The STUN that ICE's controlling side needs towards an ICE-lite server: one request, sent again and again.

The bytes are by RFC 8489, a connectivity check's attributes by RFC 8445 §7.1, repeating it by RFC 7675 §5.1. Opens no
socket.
"""

from __future__ import annotations

import binascii
import hmac
import os
import struct

COOKIE = 0x2112A442
BINDING_REQUEST, BINDING_SUCCESS = 0x0001, 0x0101
USERNAME, MESSAGE_INTEGRITY, PRIORITY, USE_CANDIDATE = 0x0006, 0x0008, 0x0024, 0x0025
FINGERPRINT, ICE_CONTROLLING = 0x8028, 0x802A
FINGERPRINT_XOR = 0x5354554E  # RFC 8489 §14.7
HOST_PRIORITY = 0x7E0000FF  # as a peer-reflexive candidate would have: RFC 8445 §5.1.2.1

_HEADER = struct.Struct("!HHI")
_ATTRIBUTE = struct.Struct("!HH")
_INTEGRITY_BYTES, _FINGERPRINT_BYTES = 24, 8


def binding_request(username: str, password: str) -> bytes:
    """A check that nominates its pair at once (RFC 8445 §8.1.1), with a transaction id of its own.

    :param username: the server's fragment, a colon, and ours.
    :param password: the server's.
    """
    attributes = (
        _attribute(USERNAME, username.encode())
        + _attribute(PRIORITY, struct.pack("!I", HOST_PRIORITY))
        + _attribute(ICE_CONTROLLING, bytes(8))
        + _attribute(USE_CANDIDATE, b"")
    )
    transaction = os.urandom(12)
    signed = _header(BINDING_REQUEST, len(attributes) + _INTEGRITY_BYTES) + transaction + attributes
    attributes += _attribute(MESSAGE_INTEGRITY, hmac.digest(password.encode(), signed, "sha1"))
    message = _header(BINDING_REQUEST, len(attributes) + _FINGERPRINT_BYTES) + transaction + attributes
    return message + _attribute(FINGERPRINT, struct.pack("!I", binascii.crc32(message) ^ FINGERPRINT_XOR))


def is_success(packet: bytes | memoryview) -> bool:
    """Whether this is a success response to a binding request."""
    return len(packet) >= 20 and int.from_bytes(packet[:2], "big") == BINDING_SUCCESS


def _header(message_type: int, length: int) -> bytes:
    return _HEADER.pack(message_type, length, COOKIE)


def _attribute(attribute_type: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(attribute_type, len(value)) + value + bytes(-len(value) % 4)
