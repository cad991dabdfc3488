"""Who is there: the rules that follow from what sweeps have counted (``sweeper.py``)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from app.calls.call import EndReason, PartyLiveness
from app.person import Person

NEVER_SENT_AFTER_S = 30.0  # how long a party may take to its first packet once the other one talks


@dataclass(frozen=True, slots=True)
class LivenessLimits:
    """Seconds. ``grace_s`` is for a party whose socket or network is gone; the first two are for any party."""

    rtp_stopped_after_s: float = 10.0
    never_sent_after_s: float = NEVER_SENT_AFTER_S
    grace_s: float = 5.0


def end_reason_of(
    parties: Collection[PartyLiveness],
    connected_at: float,
    now: float,
    online: Callable[[Person], bool],
    limits: LivenessLimits,
) -> tuple[EndReason, Person] | None:
    """Why a talking call has to end now, and by whom; None while it need not. The first rule that holds wins.

    1. a party's last proof is too old, or it never had one: ``rtp_stopped``
    2. it has no socket, had one, and its last proof is older than the grace: ``disconnect``
    3. its DTLS or ICE has been down for the grace, and its last proof is as old: ``network_failed``
    """
    for party in parties:
        limit = limits.never_sent_after_s if party.last_proof is None else limits.rtp_stopped_after_s
        if silent_for(party, connected_at, now) > limit:
            return EndReason.RTP_STOPPED, party.person
    quiet = [party for party in parties if silent_for(party, connected_at, now) > limits.grace_s]
    for party in quiet:
        if party.had_socket and not online(party.person):
            return EndReason.DISCONNECT, party.person
    for party in quiet:
        if party.bad_since is not None and now - party.bad_since >= limits.grace_s:
            return EndReason.NETWORK_FAILED, party.person
    return None


def silent_for(party: PartyLiveness, connected_at: float, now: float) -> float:
    """Seconds since the party's last proof, or since the connection where it never had one."""
    return now - (connected_at if party.last_proof is None else party.last_proof)
