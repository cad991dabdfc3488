"""The record of a finished call, beside its timeline: who ended it, how it sounded, what was wrong with it."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from app.calls.call import LiveCall
from app.calls.flags import Flag
from app.ledger.values import Record
from app.media.quality import Direction, Quality
from schemas.quality import FlagLine, ProtocolLine, QualityLine


def record_of(call: LiveCall) -> Record:
    """The record of a call that is ending. Its room must still be open."""
    if call.room is not None:
        call.quality.note_protocols(call.room)
    quality = whole_quality(call)
    ids = call.parties.person
    protocols = (ProtocolLine(ids(party).id, party, protocol) for party, protocol in call.quality.protocols.items())
    return Record(
        ended_by=call.ended_by,
        unit_seconds=call.tariff.unit_seconds,
        worker=call.worker,
        mos=lowest_mos(quality),
        quality=quality,
        flags=tuple(flag_line(call, flag) for flag in call.flags.all),
        transports=tuple(protocols),
    )


def whole_quality(call: LiveCall) -> tuple[QualityLine, ...]:
    """The quality of both directions over the whole call; empty where it was never connected."""
    if call.connected_at is None:
        return ()
    return tuple(quality_line(call, one, one.whole) for one in call.quality.directions)


def latest_quality(call: LiveCall) -> tuple[QualityLine, ...]:
    """The quality of both directions in the last seconds; empty before it was first measured."""
    return tuple(quality_line(call, one, one.latest) for one in call.quality.directions if one.times_measured)


def lowest_mos(quality: Iterable[QualityLine]) -> float | None:
    return min((line.mos for line in quality if line.mos is not None), default=None)


def quality_line(call: LiveCall, direction: Direction, quality: Quality | None) -> QualityLine:
    """A direction's line; without numbers where nothing was heard."""
    line = QualityLine(
        speaker=call.parties.person(direction.speaker).id,
        listener=call.parties.person(direction.listener).id,
        speaker_role=direction.speaker,
    )
    if quality is None:
        return line
    return replace(
        line,
        mos=round(quality.mos, 2),
        r_factor=round(quality.r, 1),
        loss_percent=round(100 * quality.loss, 2),
        jitter_ms=round(quality.jitter_ms, 2),
        round_trip_ms=None if quality.round_trip_ms is None else round(quality.round_trip_ms, 1),
    )


def flag_line(call: LiveCall, flag: Flag) -> FlagLine:
    person = call.parties.person(flag.party)
    return FlagLine(flag.type, person.id, flag.party, flag.since.iso, flag.until.iso if flag.until else None)
