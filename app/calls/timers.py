"""How long a call may stay in each of its states."""

from __future__ import annotations

from dataclasses import dataclass

from app.calls.metering import LEDGER_GRACE_S


@dataclass(frozen=True, slots=True)
class CallTimers:
    """In seconds: how long a call may ring; how long it may take from ``matched`` to its first RTP; the silence after
    which a party is away; how long an interrupted call waits for both parties; how long a call goes on while the ledger
    can store nothing."""

    ring_s: float = 30.0
    setup_s: float = 30.0
    interrupted_after_s: float = 5.0
    reconnect_window_s: float = 20.0
    ledger_grace_s: float = LEDGER_GRACE_S
