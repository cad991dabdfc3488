"""Which admins listen or speak in which live calls: what must be known where a call goes on, on another node or after a
crash. What was is in the audit log.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, exists, insert, select

from app.ledger import audit_log
from app.ledger.audit_log import Entry
from app.ledger.database import Database
from app.ledger.tables import LIVE, calls, supervisions
from schemas.supervision import SupervisionMode
from schemas.types import PartyRole

BOTH: frozenset[PartyRole] = frozenset({"user", "otomo"})

row = supervisions.c


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """``whispers_to`` is given in a whisper alone. It lasts as long as the token by which it was asked for last; None
    is for ever."""

    id: str
    call_id: str
    admin_id: str
    mode: SupervisionMode
    whispers_to: PartyRole | None
    began_at_ms: int
    token_until_ms: int | None
    token_issued_ms: int | None

    @property
    def audience(self) -> frozenset[PartyRole]:
        """Who hears the admin."""
        if self.mode == "barge":
            return BOTH
        return frozenset() if self.whispers_to is None else frozenset({self.whispers_to})


class Supervisions:
    """A part of the ledger. Each method that writes is one transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, supervision: Supervision, noted: Entry) -> None:
        """Store it in place of what that admin did in that call before, with its line of the audit log."""
        await self._database.write(_put, supervision, noted)

    async def remove(self, supervision_id: str, noted: Entry) -> None:
        """It is over. A second time changes nothing, and nothing is noted."""
        await self._database.write(_remove, supervision_id, noted)

    async def of_call(self, call_id: str) -> tuple[Supervision, ...]:
        """In the order in which they began."""
        return await self._database.read(_of_call, call_id)

    async def forget_ended(self) -> int:
        """Delete those of calls that ended and nobody noticed, as when a restart ended them; returns how many."""
        return await self._database.write(_forget_ended)


def _put(tx: Connection, supervision: Supervision, noted: Entry) -> None:
    tx.execute(delete(supervisions).where(row.call_id == supervision.call_id, row.admin_id == supervision.admin_id))
    tx.execute(insert(supervisions), [asdict(supervision)])
    audit_log.note(tx, noted)


def _remove(tx: Connection, supervision_id: str, noted: Entry) -> None:
    if tx.execute(delete(supervisions).where(row.id == supervision_id)).rowcount:
        audit_log.note(tx, noted)


def _of_call(tx: Connection, call_id: str) -> tuple[Supervision, ...]:
    rows = tx.execute(select(supervisions).where(row.call_id == call_id).order_by(row.began_at_ms, row.id)).mappings()
    return tuple(Supervision(**found) for found in rows)


def _forget_ended(tx: Connection) -> int:
    live = exists().where(calls.c.id == row.call_id, LIVE)
    return tx.execute(delete(supervisions).where(~live)).rowcount
