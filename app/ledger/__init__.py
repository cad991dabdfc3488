"""What must not be lost, in SQL: calls, money, events. Knows nothing of HTTP, sockets or media.

``Ledger`` is the only way to read and write it. ``upgrade`` brings a database to this release's schema without opening
a ledger, ``schema_status`` says which schema it has, ``back_up`` copies one that is in use, and ``claimed`` keeps a
second node away.
"""

from app.ledger.backend import sqlite_file
from app.ledger.backup import back_up
from app.ledger.claim import claimed
from app.ledger.ledger import Ledger
from app.ledger.upgrade import SchemaStatus, Upgrade, schema_status, upgrade

__all__ = ["Ledger", "SchemaStatus", "Upgrade", "back_up", "claimed", "schema_status", "sqlite_file", "upgrade"]
