"""Files and folders for their owner's eyes alone: calls, points and secrets are nobody else's."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

OTHERS = stat.S_IRWXG | stat.S_IRWXO

_log = logging.getLogger(__name__)


def make_private_folder(folder: Path) -> None:
    """Make it where it is not there, and those above it with the usual rights; one that is there stays as it is.

    Raises OSError.
    """
    folder.mkdir(mode=stat.S_IRWXU, parents=True, exist_ok=True)


def make_private_file(file: Path) -> None:
    """Make an empty file where there is none, and take others' rights from one that is there. Raises OSError."""
    os.close(os.open(file, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, stat.S_IRUSR | stat.S_IWUSR))
    take_from_others(file)


def take_from_others(file: Path) -> None:
    """Take others' rights to a file, where it is there and they have some. It says so."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if not mode & OTHERS:
            return
        file.chmod(mode & ~OTHERS)
    except FileNotFoundError:
        return
    except OSError as error:  # another owner's
        _log.warning("%s can be read by others than its owner, and can't be changed: %s", file, error)
        return
    _log.warning("%s could be read by others than its owner (%04o): it is theirs no more", file, mode)
