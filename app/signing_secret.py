"""The HS256 secret that a node makes for itself where it is given none, and what any secret must be."""

from __future__ import annotations

import logging
import re
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from app.private import make_private_folder, take_from_others
from app.settings_text import PREFIX, SettingsError

_log = logging.getLogger(__name__)

MIN_SECRET_BYTES = 32  # RFC 7518 §3.2: a key as long as the hash
KEY_FORMATS = re.compile(r"-----BEGIN|---- BEGIN SSH2|ssh-|ecdsa-sha2-|sk-|\s*\{\s*\"")  # PEM, SSH, JWK: not secrets


def kept_secret(path: Path) -> str:
    """The secret in the file ``path``, which is made, readable by its owner alone, where there is none yet."""
    try:
        if not path.exists():
            make_secret(path)
            _log.warning("no JWT_SECRET is set: made one in %s; tokens that others sign will be refused", path)
        take_from_others(path)
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"The JWT secret in {path} can't be read or made: {error}.") from error
    check_secret(secret, str(path))
    return secret


def make_secret(path: Path) -> None:
    """Write the file, then link it into place: a process that starts at the same time finds none or a whole one."""
    make_private_folder(path.parent)
    with tempfile.NamedTemporaryFile("w", dir=path.parent, encoding="utf-8") as draft:  # is made with mode 0600
        draft.write(secrets.token_urlsafe(MIN_SECRET_BYTES) + "\n")
        draft.flush()
        with suppress(FileExistsError):  # another process was first, and its secret is as good
            path.hardlink_to(draft.name)


def check_secret(secret: str, where: str) -> None:
    if KEY_FORMATS.match(secret):
        raise SettingsError(f"{where} holds a key, not a secret: public keys belong in {PREFIX}JWT_JWKS.")
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(f"{where} must be {MIN_SECRET_BYTES} bytes or more.")
