"""Random bytes, drawn from the kernel many at a time.

Each call to the kernel costs as much as all the rest of making an id, and lets go of the interpreter's lock, which a
busy loop is then without until another thread gives it back.
"""

from __future__ import annotations

import os

TOKEN_BYTES = 16
DRAWN = 256  # tokens at a time

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}  # RFC 9562 §4.1

_tokens: list[bytes] = []


def token() -> bytes:
    """16 bytes that nobody can guess. From any thread: a list's ``pop`` gives each of them to one."""
    try:
        return _tokens.pop()
    except IndexError:
        drawn = os.urandom(DRAWN * TOKEN_BYTES)
        _tokens.extend(drawn[at : at + TOKEN_BYTES] for at in range(0, len(drawn), TOKEN_BYTES))
        return _tokens.pop()


def number_below(limit: int) -> int:
    """0 to ``limit`` - 1, each as likely as the next, as far as 128 bits tell them apart."""
    return int.from_bytes(token(), "big") % limit


def uuid() -> str:
    """A UUID of version 4 (RFC 9562 §5.4)."""
    digits = token().hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"


os.register_at_fork(after_in_child=_tokens.clear)  # else parent and child would hand out the same
