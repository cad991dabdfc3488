"""What is wrong with the sound of a call that looks alive. Rules only: the counts come from sweeps, levels from
workers.

*One-way audio*: for a while, nothing of one party has reached the other, though it sends or the other one is heard: its
RTP does not arrive, or the other one receives none.
*Not listening*: for a while, a party has had no consumer for what the other one sends, or a paused one.
*Dead microphone*: RTP arrives without any sound in it (``microphones.py``).
*Never sent*: there is a producer, paused or not, of which no packet has ever arrived.
*Flood*: more packets arrive than any sound needs; the node has paused the producer.

Each fault is judged on its own. A party that has muted itself at the server is not heard because it asked for that: it
is neither one-way nor dead, and nobody has to listen to it.
"""

from __future__ import annotations

from collections.abc import Collection

from app.calls.call import LiveCall
from app.calls.flags import Faults
from app.media.room import Room
from app.person import OTHER
from schemas.call import CallState
from schemas.quality import FlagType
from schemas.types import PartyRole

UNHEARD_AFTER_S = 5.0  # longer than it takes the slower party to set up, or to change networks
FRESH_S = 2.5  # how old a last packet may be: sweeps come once a second

Parties = Collection[PartyRole]


def faults_of(call: LiveCall, now: float) -> Faults:
    """What is wrong with a connected call at ``now``, in monotonic seconds. Called once a second, because the call
    remembers since when a party is not heard.

    Of an interrupted call only what may be the cause is looked for: that a party hears nothing is known. So it is of
    one that is on hold, where nobody is to hear anybody.
    """
    room = call.room
    if room is None:
        return {}
    if call.state is CallState.INTERRUPTED or call.held is not None:
        return bad_producers(call, room, now)
    faults = dead_microphones(call, room) if room.microphones.some_dead else {}
    faults |= bad_producers(call, room, now)
    heard = audible_parties(call, room, now)
    muted = muted_parties(room) if len(heard) < len(call.liveness) else ()
    faults |= one_way(call, heard, muted, faults, now)
    return faults | not_listening(call, room, heard, muted, now)


def one_way(call: LiveCall, heard: Parties, muted: Parties, faults: Faults, now: float) -> Faults:
    flags: Faults = {}
    for party, liveness in call.liveness.items():
        if party in heard or party in muted:
            liveness.unheard_since = None
            continue
        if liveness.unheard_since is None:
            liveness.unheard_since = now
        other = OTHER[party]
        other_is_heard = other in heard and (FlagType.DEAD_MICROPHONE, other) not in faults
        sends_in_vain = is_fresh(liveness.last_rtp, now) and is_fresh(call.liveness[other].last_proof, now)
        if now - liveness.unheard_since >= UNHEARD_AFTER_S and (other_is_heard or sends_in_vain):
            flags[FlagType.ONE_WAY_AUDIO, party] = liveness.unheard_since
    return flags


def not_listening(call: LiveCall, room: Room, heard: Parties, muted: Parties, now: float) -> Faults:
    flags: Faults = {}
    for party, liveness in call.liveness.items():
        other = OTHER[party]
        if other in heard or other in muted or not sends(room, other) or listens(room, party):
            liveness.not_listening_since = None
            continue
        if liveness.not_listening_since is None:
            liveness.not_listening_since = now
        if now - liveness.not_listening_since >= UNHEARD_AFTER_S:
            flags[FlagType.NOT_LISTENING, party] = liveness.not_listening_since
    return flags


def bad_producers(call: LiveCall, room: Room, now: float) -> Faults:
    """The producers that never sent, and those that flood."""
    flags: Faults = {}
    connected_at = call.connected_at.monotonic if call.connected_at is not None else now
    for owned in room.producers.values():
        if owned.packets == 0 and owned.last_rtp is None:
            since = max(owned.since, connected_at)
            if now - since >= UNHEARD_AFTER_S:
                flags.setdefault((FlagType.NEVER_SENT, owned.party), since)
        if owned.flooding_since is not None:
            flags.setdefault((FlagType.FLOOD, owned.party), owned.flooding_since)
    return flags


def audible_parties(call: LiveCall, room: Room, now: float) -> set[PartyRole]:
    """The parties whose sound reaches the other one."""
    heard: set[PartyRole] = set()
    for listening in room.consumers.values():
        source = room.producers.get(listening.consumer.producer_id)
        if source is None or source.producer.paused or source.producer.kind != "audio":
            continue
        if is_fresh(call.liveness[source.party].last_rtp, now) and room.receives(listening):
            heard.add(source.party)
    return heard


def is_fresh(at: float | None, now: float) -> bool:
    return at is not None and now - at <= FRESH_S


def sends(room: Room, party: PartyRole) -> bool:
    """Whether the party has a producer that the other one could listen to."""
    return any(owned.party == party and owned.producer.kind == "audio" for owned in room.producers.values())


def listens(room: Room, party: PartyRole) -> bool:
    """Whether the party has a consumer of the other one's sound that is not paused."""
    return any(
        one.party == party and one.consumer.kind == "audio" and not one.consumer.paused
        for one in room.consumers.values()
    )


def muted_parties(room: Room) -> set[PartyRole]:
    """The parties that have muted all that they send."""
    muted: dict[PartyRole, bool] = {}
    for owned in room.producers.values():
        if owned.producer.kind == "audio":
            muted[owned.party] = muted.get(owned.party, True) and owned.muted
    return {party for party, all_muted in muted.items() if all_muted}


def dead_microphones(call: LiveCall, room: Room) -> Faults:
    silences = ((party, silent_since(room, party)) for party in call.liveness)
    return {(FlagType.DEAD_MICROPHONE, party): since for party, since in silences if since is not None}


def silent_since(room: Room, party: PartyRole) -> float | None:
    """Since when none of the party's microphones has had any sound; None where one has, is muted, or has no level."""
    mine = [owned.producer for owned in room.producers.values() if owned.party == party]
    silences = [
        None if producer.paused else room.microphones.dead_since(producer.id)
        for producer in mine
        if producer.kind == "audio"
    ]
    known = [since for since in silences if since is not None]
    return max(known) if known and len(known) == len(silences) else None
