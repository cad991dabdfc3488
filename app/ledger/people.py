"""What is decided of people: bans, revoked tokens, otomos who are away, and who blocks whom.

Every change stores an event for nodes, which no client is sent: so all nodes learn of it, in the order of the commits.
An event holds all that is so from then on; it may be applied twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple, cast

from msgspec.structs import asdict, replace
from sqlalchemy import Connection, delete, exists, func, insert, select

from app.ledger import events
from app.ledger.database import Database
from app.ledger.errors import TooManyBlocks
from app.ledger.notices import Banned
from app.ledger.tables import blocks, insert_or_replace, otomo_status, people
from app.ledger.values import Event, NewEvent
from app.person import Person
from schemas.base import encode
from schemas.people import MAX_BLOCKS, BlockChanged, OtomoStatusWord, PersonChanged
from schemas.types import PartyRole, Role

NODES: Final = Person(cast("Role", "node"), "all")  # the receiver of what nodes tell one another
PERSON_CHANGED: Final = "person_changed"
BLOCK_CHANGED: Final = "block_changed"
LOCK: Final = 0x566F696365507002  # PostgreSQL advisory lock: its holder changes what is decided of somebody


class Block(NamedTuple):
    """Somebody who is blocked, since when."""

    other: Person
    at_ms: int


class Known(NamedTuple):
    """All that is decided of people, and what users were told last of otomos, as far as that is stored."""

    people: tuple[PersonChanged, ...]
    blocks: tuple[tuple[Person, Person], ...]
    told: tuple[tuple[str, OtomoStatusWord], ...]


class People:
    """Each method that changes something is one transaction, and returns the events that it stored."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self) -> Known:
        return await self._database.read(_known)

    async def of(self, person: Person) -> PersonChanged:
        """What is decided of a person."""
        return await self._database.read(_of, person)

    async def change(self, person: Person, at_ms: int, **changed: Any) -> Sequence[Event]:
        """Set some of the fields of a PersonChanged."""
        return await self._database.write(_change, person, at_ms, changed)

    async def block(
        self, person: Person, other: Person, *, blocked: bool, at_ms: int, told: NewEvent | None
    ) -> Sequence[Event]:
        """Block somebody, or no more; ``told`` goes with it. Nothing is stored where it is so already.

        Raises TooManyBlocks.
        """
        return await self._database.write(_block, person, other, blocked, at_ms, told)

    async def blocks_of(self, person: Person) -> tuple[Block, ...]:
        """Whom a person has blocked, the last first."""
        return await self._database.read(_blocks_of, person)


def _known(tx: Connection) -> Known:
    persons = tuple(_person_of(row) for row in tx.execute(select(people)).mappings())
    pairs = select(blocks.c.role, blocks.c.user_id, blocks.c.other_role, blocks.c.other_id)
    told = select(otomo_status.c.otomo_id, otomo_status.c.status).where(otomo_status.c.status != "offline")
    return Known(
        persons,
        tuple((Person(*pair[:2]), Person(*pair[2:])) for pair in tx.execute(pairs)),
        tuple((otomo_id, status) for otomo_id, status in tx.execute(told)),
    )


def _of(tx: Connection, person: Person) -> PersonChanged:
    query = select(people).where(people.c.role == person.role, people.c.user_id == person.id)
    row = tx.execute(query).mappings().one_or_none()
    return _person_of(row or {"role": person.role, "user_id": person.id, "banned": False, "away": False})


def _person_of(row: Any) -> PersonChanged:
    return PersonChanged(
        role=row["role"],
        user_id=row["user_id"],
        banned=row["banned"],
        until_ms=row.get("until_ms"),
        ban_reason=row.get("ban_reason"),
        revoked_at_ms=row.get("revoked_at_ms"),
        away=row["away"],
    )


def _change(tx: Connection, person: Person, at_ms: int, changed: dict[str, Any]) -> Sequence[Event]:
    _begin(tx)
    now = replace(_of(tx, person), **changed)
    tx.execute(insert_or_replace(tx, people), [asdict(now)])
    banned = [Banned(person, now.ban_reason, now.until_ms, at_ms)] if changed.get("banned") else []
    return _tell(tx, [NewEvent(PERSON_CHANGED, encode(now), NODES)], at_ms, banned)


def _block(
    tx: Connection, person: Person, other: Person, blocked: bool, at_ms: int, told: NewEvent | None
) -> Sequence[Event]:
    _begin(tx)
    mine = (blocks.c.role == person.role, blocks.c.user_id == person.id)
    this = (*mine, blocks.c.other_role == other.role, blocks.c.other_id == other.id)
    if bool(tx.scalar(select(exists().where(*this)))) is blocked:
        return ()
    if not blocked:
        tx.execute(delete(blocks).where(*this))
    elif (tx.scalar(select(func.count()).select_from(blocks).where(*mine)) or 0) < MAX_BLOCKS:
        names = {"role": person.role, "user_id": person.id, "other_role": other.role, "other_id": other.id}
        tx.execute(insert(blocks), [{**names, "at_ms": at_ms}])
    else:
        raise TooManyBlocks(f"{person} blocks {MAX_BLOCKS} already")
    change = BlockChanged(
        role=cast("PartyRole", person.role),
        user_id=person.id,
        other_role=cast("PartyRole", other.role),
        other_id=other.id,
        blocked=blocked,
    )
    return _tell(tx, [NewEvent(BLOCK_CHANGED, encode(change), NODES), *([told] if told else [])], at_ms)


def _blocks_of(tx: Connection, person: Person) -> tuple[Block, ...]:
    query = select(blocks).where(blocks.c.role == person.role, blocks.c.user_id == person.id)
    rows = tx.execute(query.order_by(blocks.c.at_ms.desc(), blocks.c.other_id)).mappings()
    return tuple(Block(Person(row["other_role"], row["other_id"]), row["at_ms"]) for row in rows)


def _begin(tx: Connection) -> None:
    """Changes are rare, and made one after the other over all nodes: what is read is what is changed."""
    if tx.dialect.name == "postgresql":
        tx.execute(select(func.pg_advisory_xact_lock(LOCK)))


def _tell(tx: Connection, new: Sequence[NewEvent], at_ms: int, banned: Sequence[Banned] = ()) -> Sequence[Event]:
    return events.append(tx, events.drafts(new, at_ms), banned)
