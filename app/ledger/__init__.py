"""What must not be lost, in SQL: calls, money, events. Knows nothing of HTTP, sockets or media.

``Ledger`` is the only way in; ``upgrade`` brings a database to this release's schema without opening a ledger.
"""

from app.ledger.ledger import Ledger
from app.ledger.upgrade import Upgrade, upgrade

__all__ = ["Ledger", "Upgrade", "upgrade"]
