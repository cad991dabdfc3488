"""The WebSocket's path, its limits, and the codes that it is closed with. Knows no socket."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

PATH = "/ws"

SOCKET_BURST = 20  # sockets that a user may open in one go: twice SOCKETS_PER_USER, for a network that is back
SOCKETS_PER_USER = 10  # more than one person's devices and tabs; beyond it the oldest is closed


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits and times of one WebSocket. Nodes use the defaults; tests shorten them."""

    ping_every_s: float = 15.0  # between two pings of ours (RFC 6455 §5.5.2)
    silent_after_s: float = 30.0  # without any frame from the client, pongs included
    close_within_s: float = 5.0  # from the decision to close until TCP is cut, whatever the client does
    message_bytes: int = 64 * 1024  # of a client's message, with all its fragments
    outbox_frames: int = 1024  # that wait for the client to read; a client further behind is closed
    outbox_bytes: int = 512 * 1024  # the same in bytes


class CloseCode(IntEnum):
    """Why the server closes a socket (RFC 6455 §7.4), and what the client should do. Codes from 4000 on are our own."""

    NORMAL = 1000  # the answer to a client's own close
    GOING_AWAY = 1001  # this node stops: reconnect, with `since`
    MESSAGE_TOO_BIG = 1009  # a message over 64 KiB: a mistake in the client
    INTERNAL_ERROR = 1011  # a mistake in the server: reconnect after a while
    SERVICE_RESTART = 1012  # this node begins anew: reconnect, with `since`
    TOKEN_EXPIRED = 4001  # the token's `exp` has come: reconnect with a new one
    SILENT = 4002  # nothing came, not even pongs: reconnect, with `since`
    REPLACED = 4003  # the user opened more sockets than one user may have: don't reconnect
    TOKEN_WITHDRAWN = 4401  # the token, or the key that signed it, was withdrawn: reconnect with a new token
    BANNED = 4403  # the person is kept out: don't reconnect
    TOO_SLOW = 4008  # the client did not read what was sent: reconnect, with `since`
