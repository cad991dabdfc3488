"""Everything that the ledger raises.

LedgerError
├── LedgerUnavailable   the database is locked, slow, full or gone; the same call may be made again
├── DatabaseClaimed     another node uses it
├── SchemaTooNew        the database was made by a later release than this one
├── BadDatabaseUrl      neither ``sqlite:///path`` nor ``postgresql://...``
├── CallExists          that call id is taken
├── PartyBusy           a party of an exclusive call is in another exclusive call
├── UnknownCall         there is no such call
├── StaleState          the call is already at, or past, the state that was asked for
├── Fenced              the call is another node's by now, or in another room
├── BalanceTooLow       a wallet would go below zero
├── BalanceTooHigh      a wallet would go above MAX_POINTS
├── AlreadyExpired      points that would have expired before they came
├── RefundTooHigh       all refunds of a call would exceed what it cost
├── KeyReused           an idempotency key comes again with another body
├── TooManyBlocks       a person blocks as many others as one may
├── UnknownEndpoint     there is no such webhook endpoint
├── UnknownDelivery     there is no such delivery to one
├── TooManyEndpoints    there are as many webhook endpoints as there may be
├── EndpointFromSettings  the settings say what that webhook endpoint is
├── EndpointDisabled    nothing is sent to that webhook endpoint
├── BadCursor           a page cursor that this ledger did not make
└── Unstorable          an id with characters that not every database can hold
"""

from __future__ import annotations

from typing import Literal

from schemas.types import PartyRole


class LedgerError(Exception):
    """Base of everything that ``app.ledger`` raises."""


class LedgerUnavailable(LedgerError):
    """The database could not do it now; the driver's own error is the ``__cause__``.

    Every method of the ledger may be called again after this: what was stored is found, never doubled.
    ``outcome_unknown`` is true when the commit itself was cut off, so that the work may be stored or not.
    """

    def __init__(self, problem: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(f"{problem}, and the commit may have happened" if outcome_unknown else problem)
        self.outcome_unknown = outcome_unknown


class DatabaseClaimed(LedgerError):
    """Another node has the claim on the database."""


class SchemaTooNew(LedgerError):
    """The database carries a schema revision that this release does not know."""


class BadDatabaseUrl(LedgerError):
    """The URL names no database that a ledger can live in."""


class CallExists(LedgerError):
    """A call with that id is stored already."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"call {call_id} exists")
        self.call_id = call_id


class PartyBusy(LedgerError):
    """``party`` (``user_id`` is its id) is in the live exclusive call ``call_id``."""

    def __init__(self, party: PartyRole, user_id: str, call_id: str) -> None:
        super().__init__(f"{party} {user_id} is in call {call_id}")
        self.party = party
        self.user_id = user_id
        self.call_id = call_id


class UnknownCall(LedgerError):
    """No call with that id is stored."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"no call {call_id}")
        self.call_id = call_id


class StaleState(LedgerError):
    """The call can't move to the state that was asked for, because it is in ``state`` already."""

    def __init__(self, call_id: str, state: str) -> None:
        super().__init__(f"call {call_id} is {state}")
        self.call_id = call_id
        self.state = state


class Fenced(LedgerError):
    """The call is not on the node, or not in the room, that the change was for. Whoever asked has lost the call, and
    has nothing more to write or tell about it."""

    def __init__(self, call_id: str) -> None:
        super().__init__(f"call {call_id} has moved on")
        self.call_id = call_id


class BalanceTooLow(LedgerError):
    """The wallet holds ``balance`` points, too few for that debit."""

    def __init__(self, user_id: str, balance: int) -> None:
        super().__init__(f"wallet {user_id} holds {balance} points")
        self.user_id = user_id
        self.balance = balance


class BalanceTooHigh(LedgerError):
    """The wallet holds ``balance`` points, and the credit would bring it above MAX_POINTS."""

    place = "amount"

    def __init__(self, user_id: str, balance: int) -> None:
        super().__init__(f"wallet {user_id} holds {balance} points and can't take that many more")
        self.user_id = user_id
        self.balance = balance


class AlreadyExpired(LedgerError):
    """Points that would have expired before they came."""

    place = "expiresAt"

    def __init__(self) -> None:
        super().__init__("must lie in the future")


class RefundTooHigh(LedgerError):
    """Of what the call cost, only ``left`` (points or units, as was asked) can be given back."""

    def __init__(self, call_id: str, what: Literal["points", "units"], left: int) -> None:
        super().__init__(f"must be at most {left}: more of call {call_id} can't be given back")
        self.place = what


class KeyReused(LedgerError):
    """The idempotency key was used for something else."""

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency key {key!r} was used for something else")
        self.key = key


class TooManyBlocks(LedgerError):
    """The person blocks as many others as one may."""


class UnknownEndpoint(LedgerError):
    """No webhook endpoint with that id is stored."""


class UnknownDelivery(LedgerError):
    """No delivery with that id is stored."""


class TooManyEndpoints(LedgerError):
    """There are as many webhook endpoints as there may be."""


class EndpointFromSettings(LedgerError):
    """The settings say what that webhook endpoint is; nothing else changes it."""


class EndpointDisabled(LedgerError):
    """Nothing is sent to that webhook endpoint."""


class BadCursor(LedgerError):
    """The cursor is not one that a page of this ledger ended with."""

    place = "cursor"


class Unstorable(LedgerError):
    """An id holds a NUL or half a surrogate pair."""
