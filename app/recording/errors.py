"""What storages raise.

StorageError        the storage could not do it now
├── NotStored       there is nothing of that name
└── NoStorage       the URL, or what is installed, makes no storage at all
"""

from __future__ import annotations


class StorageError(Exception):
    """The storage could not do it now; the text is what it has said."""


class NotStored(StorageError):
    """There is nothing of that name."""


class NoStorage(StorageError):
    """There can't be a storage; the text says why."""
