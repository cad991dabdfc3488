"""Which parties are there: rules over what sweeps have counted (``sweeper.py``)."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from app.calls.call import EndReason, LiveCall, PartyLiveness
from app.person import OTHER, Person
from schemas.types import PartyRole

ROOM_LOST = {"worker_died": EndReason.WORKER_DIED, "node_lost": EndReason.NODE_LOST, "moved": EndReason.NODE_LOST}


def silent_party(call: LiveCall, at: float, after_s: float) -> PartyRole | None:
    """The party that has been silent longest, where that is longer than ``after_s``."""
    found, longest = None, after_s
    for role, party in call.liveness.items():
        if (silence := silent_for(call, party, at)) > longest:
            found, longest = role, silence
    return found


def silent_for(call: LiveCall, party: PartyLiveness, at: float) -> float:
    """Seconds since the party's last proof, or since the connection where it never had one."""
    if party.last_proof is not None:
        return at - party.last_proof
    return at - call.connected_at.monotonic if call.connected_at is not None else 0.0


def end_reason_of(
    call: LiveCall, at: float, online: Collection[Person], after_s: float
) -> tuple[EndReason, Person | None]:
    """Why an interrupted call ends when its time is over, and by which party. The first rule that holds decides.

    1. its room was lost: ``worker_died``, ``node_lost``
    2. a silent party has no WebSocket, and had one: ``disconnect``
    3. a silent party's DTLS is failed or closed, or its ICE disconnected: ``network_failed``
    4. else: ``rtp_stopped``
    """
    if call.interruption is not None and call.interruption.reason in ROOM_LOST:
        return ROOM_LOST[call.interruption.reason], None
    silent = list(silent_parties(call, at, after_s))
    for party in silent:
        if party.had_socket and party.person not in online:
            return EndReason.DISCONNECT, party.person
    for party in silent:
        if party.bad_since is not None:
            return EndReason.NETWORK_FAILED, party.person
    return EndReason.RTP_STOPPED, silent[0].person if silent else None


def silent_parties(call: LiveCall, at: float, after_s: float) -> Iterable[PartyLiveness]:
    """The parties that have been silent for longer than that; the one that caused the interruption first."""
    first: PartyRole = (call.interruption and call.interruption.party) or "user"
    for party in (call.liveness[first], call.liveness[OTHER[first]]):
        if silent_for(call, party, at) > after_s:
            yield party
