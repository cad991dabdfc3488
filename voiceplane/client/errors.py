"""What can go wrong for a client, each leaf with one sentence for people.

ClientError
├── Unreachable   no answer came: refused, reset, timed out
├── Refused       the server answered with its error body
├── BadAnswer     something answered that does not speak the contract
├── NoMedia       signalling worked, the sound did not
└── CallEnded     the server ended the call before we did
"""

from __future__ import annotations

from typing import Any


class ClientError(Exception):
    """Root of everything that this package raises on purpose."""


class Unreachable(ClientError):
    """No answer from `base`."""

    def __init__(self, base: str, cause: BaseException) -> None:
        super().__init__(f"no answer from {base}: {cause or type(cause).__name__}")


class Refused(ClientError):
    """The server said no: `status` is HTTP's, `code` is the contract's, as in 409 `PRODUCER_ALREADY_EXISTS`."""

    def __init__(self, request: str, status: int, code: str, body: dict[str, Any]) -> None:
        problems = "; ".join(f"{d.get('path')}: {d.get('problem')}" for d in body.get("details", ()))
        super().__init__(f"{request} was refused with {status} {code}" + (f" ({problems})" if problems else ""))
        self.status = status
        self.code = code
        self.body = body


class BadAnswer(ClientError):
    """An answer without the JSON that the contract promises; usually `base` is not a voiceplane server."""

    def __init__(self, request: str, status: int, problem: str) -> None:
        super().__init__(f"{request} was answered with {status}, but {problem}")
        self.status = status


class NoMedia(ClientError):
    """No sound came through; the message says how far ICE and DTLS got."""


class CallEnded(ClientError):
    """The call ended before we ended it; ``reason`` is the contract's, as in ``worker_died``."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server ended it ({reason})")
        self.reason = reason
