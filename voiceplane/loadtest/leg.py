"""One client transport: a UDP socket that does ICE and DTLS, and then sends a voice or receives into a sink.

Owns the socket and the order of steps: checks until one is answered, the handshake until there are keys, then media.
Every few seconds it sends RTCP reports and one more check, or the server would take us for gone.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Sequence
from enum import Enum, auto
from typing import NamedTuple

from voiceplane.loadtest.dtls import Fingerprint, Handshake, Identity, SrtpKeys
from voiceplane.loadtest.errors import LegFailed
from voiceplane.loadtest.sink import Sink
from voiceplane.loadtest.stun import binding_request, is_success
from voiceplane.loadtest.voice import Stream, Voice

CHECK_AGAIN_S = 0.1  # an unanswered first check; ICE's own floor is 50 ms (RFC 8445 §14.2)
EVERY_S = 5.0  # consent (RFC 7675 §5.1) and reports (RFC 3550 §6.2)
SET_UP_WITHIN_S = 15.0
DATAGRAM_BYTES = 2048
SO_TIMESTAMPNS = 35  # Linux: the kernel's own clock at each datagram's arrival; not in Python's socket module
SO_MEMINFO = 55  # Linux: what a socket holds and has dropped, as nine numbers
TIMESTAMP_SPACE = socket.CMSG_SPACE(16)

_TIMESPEC = struct.Struct("@qq")
_MEMINFO = struct.Struct("@9I")


class Address(NamedTuple):
    """Where the server's media is."""

    host: str
    port: int


class Credentials(NamedTuple):
    """The server's side of ICE (RFC 8445 §5.3)."""

    fragment: str
    password: str


class State(Enum):
    CHECKING = auto()
    SHAKING_HANDS = auto()
    OPEN = auto()
    CLOSED = auto()


class Leg:
    """One transport. `state` only moves forward. It has a `stream` to send, or receives from the leg `hears`."""

    def __init__(
        self,
        number: int,
        address: Address,
        credentials: Credentials,
        fingerprints: Sequence[Fingerprint],
        identity: Identity,
    ) -> None:
        self.number = number
        self.stream: Stream | None = None
        self.hears: Leg | None = None
        self.state = State.CHECKING
        self.voice: Voice | None = None
        self.sink: Sink | None = None
        self.refused = 0  # packets that the system would not send
        self.next_step_at = 0.0  # the monotonic clock: when `step` has something to do
        self._password = credentials.password
        self._username = f"{credentials.fragment}:{os.urandom(4).hex()}"
        self._handshake = Handshake(identity, fingerprints)
        self._began_at = time.monotonic()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._socket.connect(address)
        self._buffer = bytearray(DATAGRAM_BYTES)
        self._view = memoryview(self._buffer)

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def dropped(self) -> int:
        """Packets that found the socket full, because we were too slow."""
        drops: int = _MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _MEMINFO.size))[-1]
        return drops

    def step(self, now: float) -> None:
        """Send what is due: a check, a repeated handshake message. Raises LegFailed where it takes too long."""
        if self.state is not State.OPEN and now > self._began_at + SET_UP_WITHIN_S:
            missing = "check was answered" if self.state is State.CHECKING else "handshake was finished"
            raise LegFailed(f"no {missing} within {SET_UP_WITHIN_S:.0f} s")
        if self.state is State.SHAKING_HANDS:
            self._send(self._handshake.repeat())
        else:
            self._send(binding_request(self._username, self._password))
        if self.state is State.OPEN:
            self._report(time.time_ns())
        self.next_step_at = now + (EVERY_S if self.state is State.OPEN else CHECK_AGAIN_S)

    def listen(self, forwarded: Counter[int], frame_ms: int) -> Leg:
        """Give the leg `hears` a voice in frames of so many milliseconds, and this one a sink for it. Returns that leg,
        which may speak now.

        Raises LegFailed where one of both is not up.
        """
        sender = self.hears
        if sender is None or sender.stream is None:
            raise LegFailed("there is nobody to be heard")
        sender.voice = Voice(sender.stream, sender._keys().ours, frame_ms)  # noqa: SLF001  the other end of the same wire
        self.sink = Sink(sender.voice, self._keys(), forwarded)
        return sender

    def speak(self) -> bool:
        """Send the next frame of the voice. Returns whether it left."""
        if self.voice is None or self.state is not State.OPEN:
            return False
        left = self._send(self.voice.next_packet(time.time_ns()))
        self.voice.sent += left
        return left

    def read(self) -> None:
        """Take one datagram. Raises LegFailed where the handshake fails."""
        try:
            length, ancillary, _, _ = self._socket.recvmsg_into([self._buffer], TIMESTAMP_SPACE)
        except OSError:  # nothing there after all, or an ICMP error for a packet of ours
            return
        first = self._buffer[0]
        if first >= 128:  # RFC 7983 §7 for the ranges, RFC 5761 §4 for RTCP's
            if self.sink is not None:
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                self._hear(self.sink, length, seconds * 10**9 + nanoseconds)
        elif first < 4:
            self._answered(length)
        elif 20 <= first <= 63 and self.state is State.SHAKING_HANDS:
            self._shake(bytes(self._view[:length]))

    def close(self) -> None:
        """Say goodbye and close the socket."""
        if self.state is State.OPEN:
            self._send(self._handshake.goodbye())
        self.state = State.CLOSED
        self._socket.close()

    def _hear(self, sink: Sink, length: int, arrived_ns: int) -> None:
        if 192 <= self._buffer[1] <= 223:
            sink.take_report(bytes(self._view[:length]), arrived_ns)
        else:
            sink.take(self._view[:length], arrived_ns)

    def _report(self, at_ns: int) -> None:
        if self.voice is not None:
            self._send(self.voice.report(at_ns))
        if self.sink is not None:
            self._send(self.sink.report(at_ns))

    def _keys(self) -> SrtpKeys:
        if self._handshake.keys is None:
            raise LegFailed("there are no keys before the handshake is through")
        return self._handshake.keys

    def _answered(self, length: int) -> None:
        if self.state is State.CHECKING and is_success(self._view[:length]):
            self.state = State.SHAKING_HANDS
            self._shake()

    def _shake(self, datagram: bytes | None = None) -> None:
        self._send(self._handshake.advance(datagram))
        if self._handshake.keys is not None:
            self.state = State.OPEN
        self.next_step_at = time.monotonic() + CHECK_AGAIN_S

    def _send(self, datagram: bytes) -> bool:
        if not datagram:
            return True
        try:
            self._socket.send(datagram)
        except OSError:  # a full buffer, or nobody there any more
            self.refused += 1
            return False
        return True
