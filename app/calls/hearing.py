"""Who is not heard in a call that looks alive. Rules only: the sweep counts, the worker listens.

*One-way audio*: for a while, nothing of one party has got to the other, who is heard. Either its RTP does not come, or
the other one receives none: it has no consumer for it, or a paused one, or its receiving transport is not connected.
*Dead microphone*: RTP comes, and there is no sound in it (``microphones.py``). A party that was muted through the API
has neither: that is what it asked for.
"""

from __future__ import annotations

from app.calls.call import LiveCall
from app.calls.flags import FlagType, Found
from app.calls.room import Room
from app.person import OTHER, PartyRole

UNHEARD_AFTER_S = 5.0  # longer than it takes the slower party to set up, or to change networks
FRESH_S = 2.5  # how old a last packet may be: sweeps come once a second


def wrong_with(call: LiveCall, now: float) -> Found:
    """What is wrong with a talking call, at a monotonic time. Asked once a second: it remembers who is not heard."""
    room = call.room
    if room is None:
        return {}
    found = dead_microphones(call, room) if room.microphones.some_dead else {}
    heard = who_is_heard(call, room, now)
    muted = who_is_muted(room) if len(heard) < len(call.lives) else set()
    for party, life in call.lives.items():
        if party in heard or party in muted:
            life.unheard_since = None
        elif life.unheard_since is None:
            life.unheard_since = now
        elif now - life.unheard_since >= UNHEARD_AFTER_S:
            other = OTHER[party]
            if other in heard and (FlagType.DEAD_MICROPHONE, other) not in found:
                found[FlagType.ONE_WAY_AUDIO, party] = life.unheard_since
    return found


def who_is_heard(call: LiveCall, room: Room, now: float) -> set[PartyRole]:
    """The parties whose sound gets to the other one."""
    heard: set[PartyRole] = set()
    for listening in room.consumers.values():
        source = room.producers.get(listening.consumer.producer_id)
        if source is None or source.producer.paused or source.producer.kind != "audio":
            continue
        last_rtp = call.lives[source.party].last_rtp
        if last_rtp is not None and now - last_rtp <= FRESH_S and room.receives(listening):
            heard.add(source.party)
    return heard


def who_is_muted(room: Room) -> set[PartyRole]:
    """The parties who send nothing because they asked for that."""
    paused: dict[PartyRole, bool] = {}
    for owned in room.producers.values():
        if owned.producer.kind == "audio":
            paused[owned.party] = paused.get(owned.party, True) and owned.producer.paused
    return {party for party, all_paused in paused.items() if all_paused}


def dead_microphones(call: LiveCall, room: Room) -> Found:
    silences = ((party, silent_since(room, party)) for party in call.lives)
    return {(FlagType.DEAD_MICROPHONE, party): since for party, since in silences if since is not None}


def silent_since(room: Room, party: PartyRole) -> float | None:
    """Since when none of the party's microphones has given a sound; None where one has, or is muted or not known."""
    mine = [owned.producer for owned in room.producers.values() if owned.party == party]
    silences = [
        None if producer.paused else room.microphones.dead_since(producer.id)
        for producer in mine
        if producer.kind == "audio"
    ]
    known = [since for since in silences if since is not None]
    return max(known) if known and len(known) == len(silences) else None
