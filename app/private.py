"""Files and folders that only their owner can read: they hold calls, points and secrets."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO

_log = logging.getLogger(__name__)


def make_private_folder(folder: Path) -> None:
    """Make the folder, where it is not there yet; folders above it get the usual rights.

    Raises OSError.
    """
    folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)


def make_private_file(file: Path) -> None:
    """Make an empty file, where it is not there yet; take all rights of others from one that is. Raises OSError."""
    os.close(os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR))
    take_from_others(file)


def take_from_others(file: Path) -> None:
    """Take all rights of others to a file, where there are any, and log that."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if not mode & OTHERS:
            return
        file.chmod(mode & ~OTHERS)
    except FileNotFoundError:
        return
    except OSError as error:  # another owner's
        _log.warning("%s can be read by others than its owner, and that can't be changed: %s", file, error)
        return
    _log.warning("%s could be read by others than its owner (%04o): no more", file, mode)
