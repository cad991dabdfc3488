"""Tokens: which are let in, and every way in that must stay shut."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from app.access import tokens as auth
from app.access.jwks import parse_jwks
from app.access.tokens import Authenticator, Claims, Keyring, Rules, bearer_token, issue_token, websocket_token
from app.errors import Forbidden, Unauthorized
from app.settings import Settings
from app.settings_text import SettingsError
from tests.app.access.signed_tokens import (
    EC_KEY,
    GOOD,
    NOW,
    OTHER_RSA_KEY,
    RSA_KEY,
    SECRET,
    Clock,
    Json,
    b64,
    ec_jwk,
    es256,
    hs256,
    jwks,
    refused,
    rs256,
    rsa_jwk,
    signed,
)


def by_secret(rules: Rules = Rules(), clock: Callable[[], float] = lambda: NOW) -> Authenticator:  # noqa: B008
    return Authenticator(Keyring.of_secret(SECRET), rules, clock)


def by_keys(*keys: Json) -> Authenticator:
    return Authenticator(Keyring.of_public_keys(parse_jwks(jwks(*keys))), Rules(), lambda: NOW)


# --- what is let in


async def test_a_good_token_becomes_claims() -> None:
    claims = await by_secret().authenticate(hs256())
    assert claims == Claims("ann", "user", NOW + 60)


@pytest.mark.parametrize("role", ["user", "otomo", "admin"])
async def test_each_role_is_known(role: str) -> None:
    assert (await by_secret().authenticate(hs256({**GOOD, "role": role}))).role == role


@pytest.mark.parametrize(
    "ids", [{"sub": "ann"}, {"userId": "ann"}, {"sub": "ann", "userId": "ann"}], ids=["sub", "userId", "both"]
)
async def test_user_id_is_an_alias_of_sub(ids: Json) -> None:
    claims = await by_secret().authenticate(hs256({"role": "user", "exp": NOW + 1, **ids}))
    assert claims.user_id == "ann"


@pytest.mark.parametrize("user_id", ["a", "x" * 128, "おとも", "auth0|5f7c", "a.b@c-d_e/f"])
async def test_ids_may_be_anything_printable(user_id: str) -> None:
    assert (await by_secret().authenticate(hs256({**GOOD, "sub": user_id}))).user_id == user_id


async def test_public_keys_verify_their_own_algorithm() -> None:
    authenticator = by_keys(rsa_jwk(alg="RS256", use="sig"), ec_jwk(key_ops=["verify"]))
    assert (await authenticator.authenticate(rs256(kid="r1"))).user_id == "ann"
    assert (await authenticator.authenticate(es256(kid="e1"))).user_id == "ann"
    assert (await authenticator.authenticate(rs256())).user_id == "ann"  # no kid: any key may have signed it


async def test_a_key_without_an_id_may_have_signed_any_token() -> None:
    key = rsa_jwk()
    del key["kid"]
    assert (await by_keys(key).authenticate(rs256(kid="whatever"))).user_id == "ann"


async def test_issued_tokens_are_accepted_with_issuer_and_audience() -> None:
    settings = Settings(jwt_secret=SECRET, jwt_issuer="me", jwt_audience="us")
    token = issue_token(settings, "ann", "otomo", 60, now=NOW)
    claims = await by_secret(Rules("me", "us")).authenticate(token)
    assert claims == Claims("ann", "otomo", NOW + 60)


@pytest.mark.parametrize(("user_id", "role"), [("", "user"), ("a b", "user"), ("x" * 129, "user"), ("ann", "root")])
def test_no_token_is_issued_that_would_be_refused(user_id: str, role: str) -> None:
    with pytest.raises(ValueError):
        issue_token(Settings(jwt_secret=SECRET), user_id, role, 60)


def test_no_token_is_issued_where_others_sign() -> None:
    with pytest.raises(SettingsError, match="JWKS"):
        issue_token(Settings(jwt_secret=SECRET, jwt_jwks="keys.json"), "ann", "user", 60)


# --- claims


@pytest.mark.parametrize(
    "change",
    [
        {"exp": NOW}, {"exp": NOW - 1}, {"exp": str(NOW + 60)}, {"exp": True}, {"exp": None}, {"exp": [NOW + 60]},
        {"nbf": NOW + 31}, {"nbf": "0"}, {"nbf": None}, {"iat": NOW + 31}, {"iat": {}}, {"iat": False},
        {"role": "root"}, {"role": None}, {"role": ["admin"]}, {"role": "Admin"}, {"role": {"admin": 1}},
        {"sub": ""}, {"sub": "a b"}, {"sub": "a\n"}, {"sub": "a\u00a0b"}, {"sub": "a\u200b"}, {"sub": "x" * 129},
        {"sub": 7}, {"sub": None}, {"sub": ["ann"]}, {"userId": "bob"}, {"userId": None}, {"userId": 7},
    ],
)  # fmt: skip
async def test_a_signed_token_with_a_wrong_claim_is_refused(change: Json) -> None:
    assert await refused(by_secret(), hs256({**GOOD, **change}))


@pytest.mark.parametrize("missing", ["exp", "role", "sub"])
async def test_a_signed_token_without_a_claim_is_refused(missing: str) -> None:
    assert await refused(by_secret(), hs256({name: value for name, value in GOOD.items() if name != missing}))


async def test_the_signers_clock_may_be_ahead_a_little() -> None:
    assert not await refused(by_secret(), hs256({**GOOD, "nbf": NOW + 29, "iat": NOW + 29.5}))


@pytest.mark.parametrize("payload", [b"[]", b"7", b"null", b'"x"', b"{", b"", b"\xff", b'{"exp": NaN}', b"[" * 2000])
async def test_a_signed_payload_that_is_no_object_is_refused(payload: bytes) -> None:
    assert await refused(by_secret(), hs256(payload))


@pytest.mark.parametrize("exp", [b"1e400", b"99999999999999999999999999", b"-1", b"1e-400"])
async def test_numbers_beyond_reason_do_not_break_the_check(exp: bytes) -> None:
    token = hs256(b'{"sub": "ann", "role": "user", "exp": ' + exp + b"}")
    try:
        claims = await by_secret().authenticate(token)
    except Unauthorized:
        return
    assert NOW < claims.expires_at < float("inf")


@pytest.mark.parametrize(
    ("issuer", "audience", "accepted"),
    [
        ("me", "us", True), ("me", ["them", "us"], True), ("you", "us", False), ("me", "them", False),
        ("me", ["them"], False), ("me", None, False), (None, "us", False), (["me"], "us", False),
        ("me", {"us": 1}, False),
        ("me", "use", False),
    ],
)  # fmt: skip
async def test_issuer_and_audience_are_insisted_on_where_configured(issuer: Any, audience: Any, accepted: bool) -> None:
    token = hs256({**GOOD, "iss": issuer, "aud": audience})
    assert await refused(by_secret(Rules("me", "us")), token) is not accepted
    assert not await refused(by_secret(), token)


# --- algorithms and keys


async def test_an_unsigned_token_is_refused() -> None:
    for algorithm in ("none", "None", "NONE", ""):
        unsigned = signed({"alg": algorithm}, GOOD, lambda _: b"")
        assert await refused(by_secret(), unsigned)
        assert await refused(by_secret(), unsigned + "AA")
        assert await refused(by_keys(rsa_jwk()), unsigned + "AA")


@pytest.mark.parametrize("algorithm", ["HS384", "HS512", "RS256", "ES256", "PS256", "hs256", "dir", 7, None, ["HS256"]])
async def test_the_token_does_not_choose_the_algorithm(algorithm: Any) -> None:
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(str(algorithm), hashlib.sha256)
    token = signed({"alg": algorithm}, GOOD, lambda raw: hmac.new(SECRET.encode(), raw, digest).digest())
    assert await refused(by_secret(), token)


@pytest.mark.parametrize("form", ["pem", "der", "ssh", "jwk", "modulus"])
@pytest.mark.parametrize("key", [RSA_KEY, EC_KEY], ids=["rsa", "ec"])
async def test_a_public_key_is_no_hmac_secret_whatever_its_form(form: str, key: Any) -> None:
    """CVE-2024-33663: who knows the public key must not be able to sign with it."""
    formats = serialization.PublicFormat
    forms: dict[str, Callable[[], bytes]] = {
        "pem": lambda: key.public_key().public_bytes(serialization.Encoding.PEM, formats.SubjectPublicKeyInfo),
        "der": lambda: key.public_key().public_bytes(serialization.Encoding.DER, formats.SubjectPublicKeyInfo),
        "ssh": lambda: key.public_key().public_bytes(serialization.Encoding.OpenSSH, formats.OpenSSH),
        "jwk": lambda: json.dumps(rsa_jwk() if key is RSA_KEY else ec_jwk()).encode(),
        "modulus": lambda: str(key.public_key().public_numbers()).encode(),
    }
    authenticator = by_keys(rsa_jwk(), ec_jwk())
    for key_id in ({}, {"kid": "r1"}, {"kid": "e1"}):
        assert await refused(authenticator, hs256(secret=forms[form](), **key_id))


async def test_where_keys_are_public_the_secret_opens_nothing() -> None:
    assert await refused(by_keys(rsa_jwk()), hs256())


async def test_another_key_of_the_same_id_opens_nothing() -> None:
    assert await refused(by_keys(rsa_jwk()), rs256(key=OTHER_RSA_KEY, kid="r1"))
    assert await refused(by_secret(), hs256(secret="x" * 32))


async def test_a_key_does_not_verify_another_types_algorithm() -> None:
    authenticator = by_keys(rsa_jwk(), ec_jwk())
    assert await refused(authenticator, rs256(kid="e1"))
    assert await refused(authenticator, es256(kid="r1"))


@pytest.mark.parametrize(
    "header",
    [{"crit": ["b64"], "b64": False}, {"crit": []}, {"kid": 7}, {"kid": ["r1"]}, {"kid": {"a": 1}}],
    ids=str,
)
async def test_a_header_that_asks_for_more_is_refused(header: Json) -> None:
    assert await refused(by_secret(), hs256(**header))
    assert await refused(by_keys(rsa_jwk()), rs256(**{"kid": "r1", **header}))


async def test_keys_that_a_token_brings_along_are_not_believed() -> None:
    own = rsa_jwk(OTHER_RSA_KEY)
    assert await refused(by_keys(rsa_jwk()), rs256(key=OTHER_RSA_KEY, jwk=own, jku="https://evil.example", x5u="x"))


async def test_an_encrypted_token_is_refused_before_it_is_opened() -> None:
    """CVE-2024-33664: a small JWE can unpack to gigabytes. Five parts are never decoded."""
    header = b64(json.dumps({"alg": "dir", "enc": "A256GCM", "zip": "DEF"}).encode())
    assert await refused(by_secret(), f"{header}..{b64(b'iv')}.{b64(b'bomb')}.{b64(b'tag')}")
    assert await refused(by_secret(), f"{header}.{b64(b'key')}.{b64(b'iv')}.{b64(b'bomb')}.{b64(b'tag')}")


async def test_a_token_that_is_too_long_is_refused() -> None:
    assert await refused(by_secret(), hs256({**GOOD, "pad": "x" * auth.MAX_TOKEN_LENGTH}))


@pytest.mark.parametrize(
    "damage",
    [str.upper, lambda t: t + " ", lambda t: t + ".", lambda t: t + "=", lambda t: t + "\n", lambda t: "." + t],
)
async def test_a_damaged_token_is_refused(damage: Callable[[str], str]) -> None:
    assert await refused(by_secret(), damage(hs256()))


@given(st.text(max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{0,60}(\.[A-Za-z0-9_-]{0,60}){0,5}", fullmatch=True))
async def test_no_text_is_a_token_by_chance(text: str) -> None:
    assert await refused(by_secret(), text)
    assert await refused(by_keys(rsa_jwk(), ec_jwk()), text)


@given(st.integers(0, 2), st.integers(0, 400), st.sampled_from("ABYZabyz0189-_"))
async def test_a_token_with_one_letter_changed_is_no_other_users(part: int, at: int, letter: str) -> None:
    parts = hs256().split(".")
    place = at % (len(parts[part]) - 1)  # the last letter of a part has bits that stand for nothing
    parts[part] = parts[part][:place] + letter + parts[part][place + 1 :]
    changed = ".".join(parts)
    assert await refused(by_secret(), changed) is (changed != hs256())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["exp", "nbf", "iat", "iss", "aud", "sub", "userId", "role"]), json_values))
async def test_strange_claims_are_refused_and_never_crash(claims: Json) -> None:
    if await refused(by_secret(Rules("me", "us")), hs256({**GOOD, **claims})):
        return
    assert {**GOOD, **claims}["exp"] > NOW


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "zip", "cty"]), json_values))
async def test_strange_headers_are_refused_and_never_crash(header: Json) -> None:
    accepted = not await refused(by_secret(), hs256(**header))
    assert not accepted or ("crit" not in header and header.get("alg", "HS256") == "HS256")


# --- remembering


async def test_a_token_is_verified_once(monkeypatch: pytest.MonkeyPatch) -> None:
    authenticator = by_secret()
    token = hs256()
    assert authenticator.recall(token) is None
    claims = await authenticator.authenticate(token)
    assert authenticator.recall(token) is claims
    assert await authenticator.authenticate(token) is claims


async def test_a_remembered_token_expires_to_the_second() -> None:
    clock = Clock()
    authenticator = by_secret(clock=clock)
    token = hs256()
    await authenticator.authenticate(token)
    clock.now = NOW + 59.999
    assert authenticator.recall(token) is not None
    clock.now = NOW + 60
    assert authenticator.recall(token) is None
    assert await refused(authenticator, token)


async def test_no_more_tokens_are_remembered_than_fit_and_the_latest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "REMEMBERED_TOKENS", 3)
    authenticator = by_secret()
    tokens = [hs256({**GOOD, "sub": f"user-{number}"}) for number in range(4)]
    for token in tokens[:3]:
        await authenticator.authenticate(token)
    authenticator.recall(tokens[0])
    await authenticator.authenticate(tokens[3])
    assert [authenticator.recall(token) is not None for token in tokens] == [True, False, True, True]


async def test_a_refused_token_is_not_remembered() -> None:
    authenticator = by_secret()
    bad = hs256(secret="x" * 32)
    assert await refused(authenticator, bad)
    assert authenticator.recall(bad) is None


async def test_no_token_is_told_from_a_bad_one() -> None:
    assert await refused(by_secret(), None)


async def test_tokens_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for token in (hs256(), hs256(secret="x" * 32), hs256({**GOOD, "exp": 1}), "a.b.c", rs256()):
        await refused(by_secret(), token)
        assert token not in caplog.text
    assert "token refused" in caplog.text


# --- headers


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None), ("", None), ("Bearer abc", "abc"), ("bearer abc", "abc"), ("BEARER   abc ", "abc"),
        ("Bearer", None), ("Bearer ", None), ("Basic abc", None), ("Bearerabc", None), ("abc", None),
        ("Bearer a b", "a b"),
    ],
)  # fmt: skip
def test_the_token_of_an_authorization_header(header: str | None, token: str | None) -> None:
    assert bearer_token(header) == token


@pytest.mark.parametrize(
    ("header", "token"),
    [
        (None, None), ("", None), ("bearer, abc", "abc"), ("bearer,abc", "abc"), ("bearer", None), ("bearer, ", None),
        ("abc, bearer", None), ("bearer, a, b", None), ("chat, abc", None),
    ],
)  # fmt: skip
def test_the_token_of_a_websocket_handshake(header: str | None, token: str | None) -> None:
    assert websocket_token(header) == token


# --- permissions

ANN, OTO, ADA = Claims("ann", "user", 0), Claims("oto", "otomo", 0), Claims("ada", "admin", 0)
NAMESAKES = Claims("oto", "user", 0), Claims("ann", "otomo", 0), Claims("ann", "admin", 0)


@pytest.mark.parametrize(
    ("ask", "allowed"),
    [
        (lambda who: who.require_admin(), {ADA}),
        (lambda who: who.require_caller(), {ANN}),
        (lambda who: who.require_party(ANN.person, OTO.person), {ANN, OTO}),
        (lambda who: who.require_party(OTO.person), {OTO}),
        (lambda who: who.require_reader(ANN.person), {ANN, ADA}),
    ],
    ids=["admin", "caller", "parties", "otomo", "reader"],
)
def test_permissions(ask: Callable[[Claims], None], allowed: set[Claims]) -> None:
    for who in (ANN, OTO, ADA):
        if who in allowed:
            ask(who)
        else:
            with pytest.raises(Forbidden):
                ask(who)
    for namesake in NAMESAKES:  # whose id is another's
        with pytest.raises(Forbidden):
            namesake.require_party(ANN.person, OTO.person)
    assert [who.is_admin for who in (ANN, OTO, ADA)] == [False, False, True]
