"""What must not be lost, in SQL: calls, money, events. Knows nothing of HTTP, sockets or media.

``Ledger`` is the only way in; ``upgrade`` brings a database to this release's schema without opening a ledger, and
``schema_status`` tells how far it is; ``back_up`` copies one that is in use; ``claimed`` keeps a second node away.
"""

from app.ledger.backend import sqlite_file
from app.ledger.backup import back_up
from app.ledger.claim import claimed
from app.ledger.ledger import Ledger
from app.ledger.upgrade import SchemaStatus, Upgrade, schema_status, upgrade

__all__ = ["Ledger", "SchemaStatus", "Upgrade", "back_up", "claimed", "schema_status", "sqlite_file", "upgrade"]
