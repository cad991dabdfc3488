"""The key of tokens: can it be had, is it strong, and can nobody else read it?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from app.access.jwks import JwksError, fetcher, parse_jwks
from app.addresses import is_loopback
from app.settings import SECRET_FILE, Settings
from app.settings_text import SettingsError
from app.signing_secret import check_secret
from voiceplane.doctor.finding import Finding, fail, ok, warn

TOKENS, FILES = "tokens", "secret files"
DOTENV = Path(".env")
FEW_CHARACTERS = 12  # different ones; 32 random letters or digits hardly ever have fewer
MAKE_ONE = "set VOICEPLANE_JWT_SECRET to what `openssl rand -base64 32` prints"


async def tokens(settings: Settings) -> Finding:
    if settings.jwt_jwks is not None:
        return await key_set(settings, settings.jwt_jwks)
    if settings.jwt_secret is not None:
        return strength(settings.jwt_secret, "the secret that was set")
    kept = settings.data_dir / SECRET_FILE
    if not is_loopback(settings.host):
        mend = "set VOICEPLANE_JWT_SECRET or VOICEPLANE_JWT_JWKS"
        return warn(TOKENS, f"the secret is this node's own, in {kept}: nobody else can sign tokens", mend)
    if not kept.exists():
        return ok(TOKENS, f"a secret will be made in {kept} at the first start")
    return kept_secret(kept)


async def key_set(settings: Settings, source: str) -> Finding:
    try:
        async with fetcher(source) as fetch:
            keys = parse_jwks(await fetch())
    except JwksError as error:
        return fail(TOKENS, str(error).rstrip("."), "correct VOICEPLANE_JWT_JWKS, or mend what serves it")
    found = f"{len(keys)} keys from {source}"
    if settings.jwt_issuer is None or settings.jwt_audience is None:
        mend = "set VOICEPLANE_JWT_ISSUER and VOICEPLANE_JWT_AUDIENCE"
        return warn(TOKENS, f"{found}; a token that they signed for somebody else is taken, too", mend)
    return ok(TOKENS, found)


def kept_secret(path: Path) -> Finding:
    try:
        secret = path.read_text(encoding="utf-8").strip()
        check_secret(secret, str(path))
    except (OSError, UnicodeDecodeError, SettingsError) as error:
        return fail(
            TOKENS, f"the secret in {path} is no good ({error})", "remove the file: the next start makes another"
        )
    return strength(secret, f"the secret in {path}")


def strength(secret: str, which: str) -> Finding:
    size, different = len(secret.encode()), len(set(secret))
    if different < FEW_CHARACTERS:
        return warn(TOKENS, f"{which} has {size} bytes but only {different} different characters", MAKE_ONE)
    return ok(TOKENS, f"{which} has {size} bytes")


async def files(settings: Settings) -> Finding:
    """Whether only their owner can read the files with secrets."""
    present = [path for path in holding_secrets(settings) if path.exists()]
    open_ones = [path for path in present if path.stat().st_mode & 0o077]
    if open_ones:
        paths = " ".join(map(str, open_ones))
        return warn(FILES, f"others than their owner may read {paths}", f"chmod 600 {paths}")
    unread = [path for path in present if not os.access(path, os.R_OK)]
    if unread:
        return fail(FILES, f"{unread[0]} can't be read", f"run the node as {unread[0].owner()}, or chown it")
    return ok(FILES, f"{', '.join(map(str, present))}: for the owner's eyes" if present else "none")


def holding_secrets(settings: Settings) -> Iterator[Path]:
    if settings.jwt_jwks is None and settings.jwt_secret is None:
        yield settings.data_dir / SECRET_FILE
    yield DOTENV
