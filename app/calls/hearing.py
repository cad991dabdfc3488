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


def who_is_heard(call: LiveCall, room: Room, now: float) -> set[str]:
    """The parties whose sound gets to the other one."""
    heard = set()
    for listening in room.consumers.values():
        source = room.producers.get(listening.consumer.producer_id)
        if source is None or source.producer.paused or source.producer.kind != "audio":
            continue
        last_rtp = call.lives[source.user_id].last_rtp
        if last_rtp is not None and now - last_rtp <= FRESH_S and room.receives(listening):
            heard.add(source.user_id)
    return heard


def who_is_muted(room: Room) -> set[str]:
    """The parties who send nothing because they asked for that."""
    paused: dict[str, bool] = {}
    for owned in room.producers.values():
        if owned.producer.kind == "audio":
            paused[owned.user_id] = paused.get(owned.user_id, True) and owned.producer.paused
    return {user_id for user_id, all_paused in paused.items() if all_paused}


def dead_microphones(call: LiveCall, room: Room) -> Found:
    silences = ((user_id, silent_since(room, user_id)) for user_id in call.parties)
    return {(FlagType.DEAD_MICROPHONE, user_id): since for user_id, since in silences if since is not None}


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
