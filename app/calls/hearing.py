"""Who is not heard in a call that looks alive. Rules only: the sweep counts, the worker listens.

*One-way audio*: for a while, nothing of one party has got to the other, who is heard. Either its RTP does not come, or
the other one receives none: it has no consumer for it, or a paused one, or its receiving transport is not connected.
*Dead microphone*: RTP comes, and there is no sound in it (``microphones.py``). A party that was muted through the API
has neither: that is what it asked for.
"""

from __future__ import annotations

from app.calls.call import LiveCall, PartyLife
from app.calls.flags import FlagType, Found
from app.calls.room import Room

UNHEARD_AFTER_S = 5.0  # longer than it takes the slower party to set up, or to change networks
FRESH_S = 2.5  # how old a last packet may be: sweeps come once a second


def wrong_with(call: LiveCall, now: float) -> Found:
    """What is wrong with a talking call, at a monotonic time. Asked once a second: it remembers who is not heard."""
    found = Found()
    room = call.room
    if room is None:
        return found
    if room.microphones.some_dead:
        silences = ((user_id, silent_since(room, user_id)) for user_id in call.parties)
        found = {(FlagType.DEAD_MICROPHONE, user_id): since for user_id, since in silences if since is not None}
    heard, muted = who_is_heard(call, room, now)
    for user_id, life in call.lives.items():
        if user_id in heard or user_id in muted:
            life.unheard_since = None
        elif life.unheard_since is None:
            life.unheard_since = now
        elif now - life.unheard_since >= UNHEARD_AFTER_S:
            other = call.other_party(user_id)
            if other in heard and (FlagType.DEAD_MICROPHONE, other) not in found:
                found[FlagType.ONE_WAY_AUDIO, user_id] = life.unheard_since
    return found


def who_is_heard(call: LiveCall, room: Room, now: float) -> tuple[set[str], set[str]]:
    """The parties whose sound gets to the other one, and those who were muted through the API."""
    speakers, muted = {}, set()
    for owned in room.producers.values():
        if owned.producer.kind == "audio":
            if owned.producer.paused:
                muted.add(owned.user_id)
            else:
                speakers[owned.producer.id] = owned.user_id
    heard = set()
    for listening in room.consumers.values():
        speaker = speakers.get(listening.consumer.producer_id)
        if speaker is not None and is_fresh(call.lives[speaker], now) and room.receives(listening):
            heard.add(speaker)
    return heard, muted.difference(speakers.values())


def is_fresh(life: PartyLife, now: float) -> bool:
    return life.last_rtp is not None and now - life.last_rtp <= FRESH_S


def silent_since(room: Room, user_id: str) -> float | None:
    """Since when none of the party's microphones has given a sound; None where one has, or is muted or not known."""
    mine = [owned.producer for owned in room.producers.values() if owned.user_id == user_id]
    silences = [
        None if producer.paused else room.microphones.dead_since(producer.id)
        for producer in mine
        if producer.kind == "audio"
    ]
    known = [since for since in silences if since is not None]
    return max(known) if known and len(known) == len(silences) else None
