"""What can go wrong for a client: each subclass has a sentence for people, and a `code` that never changes.

ClientError
├── Unreachable    `NETWORK`: no answer came: refused, reset, timed out
├── Refused        the server's own code: it answered with its error body
├── BadAnswer      `UNEXPECTED_ANSWER`: an answer came that is not the contract's
├── TokenFailed    `TOKEN_FAILED`: the program gave no token
├── NotSupported   `NOT_SUPPORTED`: this server does not know that yet
├── SocketClosed   `REPLACED`, `BANNED` or `CLOSED`: the WebSocket is over, and does not come back
├── NoMedia        `MEDIA_FAILED`: signalling worked, the sound did not
└── CallEnded      `CALL_ENDED`: the call is over
"""

from __future__ import annotations

from typing import Any

MEDIA_IS_ELSEWHERE = frozenset({404, 503})  # the room is gone, or its worker: the call may have another one already


class ClientError(Exception):
    """Root of everything that this package raises on purpose."""

    code = "CLIENT"

    @property
    def is_transient(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return False


class Unreachable(ClientError):
    """No answer from `base`."""

    code = "NETWORK"

    def __init__(self, base: str, cause: BaseException) -> None:
        super().__init__(f"no answer from {base}: {cause or type(cause).__name__}")

    @property
    def is_transient(self) -> bool:
        return True


class Refused(ClientError):
    """The server said no: `status` is HTTP's, `code` is the contract's, as in 409 `PRODUCER_ALREADY_EXISTS`.

    `retry_after_s` is how long the server asks to wait, where it does.
    """

    def __init__(
        self, request: str, status: int, code: str, body: dict[str, Any], retry_after_s: float | None = None
    ) -> None:
        problems = "; ".join(f"{d.get('path')}: {d.get('problem')}" for d in body.get("details", ()))
        super().__init__(f"{request} was refused with {status} {code}" + (f" ({problems})" if problems else ""))
        self.status = status
        self.code = code
        self.body = body
        self.retry_after_s = retry_after_s

    @property
    def is_transient(self) -> bool:
        return self.status >= 500 or self.code == "RATE_LIMITED"

    @property
    def is_of_lost_media(self) -> bool:
        """Whether the room in question may be gone, so that the call's `mediaEpoch` has to be read."""
        return self.status in MEDIA_IS_ELSEWHERE


class BadAnswer(ClientError):
    """An answer without the JSON that the contract promises; usually `base` is not a voiceplane server."""

    code = "UNEXPECTED_ANSWER"

    def __init__(self, request: str, status: int, problem: str) -> None:
        super().__init__(f"{request} was answered with {status}, but {problem}")
        self.status = status

    @property
    def is_transient(self) -> bool:
        return self.status >= 500  # a proxy in front of a server that restarts


class TokenFailed(ClientError):
    """There is no token for the request."""

    code = "TOKEN_FAILED"


class NotSupported(ClientError):
    """An older server, or one that has it switched off."""

    code = "NOT_SUPPORTED"


class SocketClosed(ClientError):
    """The WebSocket is closed for good; `code` says why."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(why)
        self.code = code


class NoMedia(ClientError):
    """No sound came through; the message says how far ICE and DTLS got."""

    code = "MEDIA_FAILED"


class CallEnded(ClientError):
    """The call ended before we ended it; ``reason`` is the contract's, as in ``worker_died``."""

    code = "CALL_ENDED"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the server ended it ({reason})")
        self.reason = reason
