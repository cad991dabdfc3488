"""Which settings can't work. Each refusal is one sentence that names the variable."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, get_args

from app import addresses, urls
from app.settings_text import PREFIX, SettingsError, variable
from app.shared_settings import CALL_TIMES
from app.signing_secret import MIN_SECRET_BYTES, check_secret

if TYPE_CHECKING:
    from app.settings import Settings

CLIENT_TIMES = ("client_timeout_s", "keepalive_timeout_s")
MIN_TOKEN_LENGTH = 16  # characters of the token for /metrics, which is not signed
WEBHOOK_SECRET = re.compile(r"whsec_(?=.{32,88}$)(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def check_network(settings: Settings) -> None:
    if not settings.host:
        raise SettingsError(f"{PREFIX}HOST must not be empty.")
    within("port", settings.port, 0, 65535)
    within("workers", settings.workers, 1, 256)
    within("rtc_port", settings.rtc_port, 1, 65536 - settings.workers)
    if problem := addresses.fault(settings.rtc_listen_ip, settings.rtc_announced_address):
        raise SettingsError(problem)
    if problem := addresses.fault_of_origins(settings.cors_origins):
        raise SettingsError(f"{PREFIX}CORS_ORIGINS {problem}")
    for url in settings.turn_urls:
        if not url.startswith(("turn:", "turns:")):
            raise SettingsError(f"{PREFIX}TURN_URLS must hold turn: or turns: URLs, not {url!r}.")
    if bool(settings.turn_urls) != bool(settings.turn_secret):
        raise SettingsError(f"{PREFIX}TURN_URLS and {PREFIX}TURN_SECRET must be set together.")


def check_keys(settings: Settings) -> None:
    if settings.jwt_secret is not None:
        check_secret(settings.jwt_secret, f"{PREFIX}JWT_SECRET")
    if settings.metrics_token is not None and len(settings.metrics_token) < MIN_TOKEN_LENGTH:
        raise SettingsError(f"{PREFIX}METRICS_TOKEN must be {MIN_TOKEN_LENGTH} characters or more.")
    if settings.jwt_jwks is not None and settings.demo == "on":
        raise SettingsError(f"{PREFIX}DEMO needs a secret to sign with, and {PREFIX}JWT_JWKS says that none is in use.")
    if settings.jwt_jwks is not None and (scheme := re.match(r"([a-z][a-z0-9+.-]*)://", settings.jwt_jwks, re.I)):
        local = re.match(r"http://(localhost|127\.0\.0\.1|\[::1\])(?=[:/]|$)", settings.jwt_jwks, re.I)
        if scheme[1].lower() != "https" and not local:
            raise SettingsError(f"{PREFIX}JWT_JWKS must be a file or an https:// URL, because keys must not be forged.")


def check_numbers(settings: Settings) -> None:
    within("max_transports_per_direction", settings.max_transports_per_direction, 1, 16)
    within("max_packets_per_second", settings.max_packets_per_second, 0, 1_000_000)
    within("max_producers_per_party", settings.max_producers_per_party, 1, 1_000_000)
    within("price_per_minute", settings.price_per_minute, 0, 1_000_000)
    within("max_token_hours", settings.max_token_hours, 0, 876_000)
    for warning_s in settings.ending_warnings_s:
        within("ending_warnings_s", warning_s, 1, 3600)
    within("rate_limit", settings.rate_limit, 0, 1_000_000)
    within("socket_rate", settings.socket_rate, 0, 1_000_000)
    within("call_attempts_per_minute", settings.call_attempts_per_minute, 0, 1_000_000)
    within("call_attempts_per_pair", settings.call_attempts_per_pair, 0, 1_000_000)
    within("never_connected_days", settings.never_connected_days, 0, 36_500)
    within("audit_days", settings.audit_days, 0, 36_500)
    within("wallet_low_points", settings.wallet_low_points, 0, 10**15)
    within("max_connections", settings.max_connections, 1, 1_000_000)
    within("max_connections_per_address", settings.max_connections_per_address, 0, 1_000_000)
    within("drain_timeout_s", settings.drain_timeout_s, 0, 86400)
    within("stress_limit", settings.stress_limit, 0, 100)
    for name in (*CLIENT_TIMES, *CALL_TIMES):
        seconds = getattr(settings, name)
        if not (math.isfinite(seconds) and 0 < seconds <= 86400):
            raise SettingsError(f"{variable(name)} must be seconds above 0 and at most a day, not {seconds}.")


def check_choices(settings: Settings) -> None:
    if "audio" not in settings.media_kinds or not settings.media_kinds <= {"audio", "video"}:
        raise SettingsError(f"{PREFIX}MEDIA_KINDS must be audio or audio,video.")
    if settings.log_level not in {"debug", "info", "warning", "error"}:
        raise SettingsError(f"{PREFIX}LOG_LEVEL must be debug, info, warning or error, not {settings.log_level!r}.")
    if settings.demo not in {None, "on", "off"}:
        raise SettingsError(f"{PREFIX}DEMO must be on or off.")
    if settings.log_format not in {None, "text", "json"}:
        raise SettingsError(f"{PREFIX}LOG_FORMAT must be text or json, not {settings.log_format!r}.")
    if not re.match(r"(sqlite:///|postgres(ql)?://)", settings.database_url):
        raise SettingsError(f"{PREFIX}DATABASE_URL must start with sqlite:/// or postgresql://.")


def check_webhook(settings: Settings) -> None:
    if bool(settings.webhook_url) != bool(settings.webhook_secret):
        raise SettingsError(f"{PREFIX}WEBHOOK_URL and {PREFIX}WEBHOOK_SECRET must be set together.")
    if settings.webhook_url is not None and (problem := urls.fault(settings.webhook_url)):
        raise SettingsError(f"{PREFIX}WEBHOOK_URL {problem}.")
    if settings.webhook_secret is not None and not WEBHOOK_SECRET.fullmatch(settings.webhook_secret):
        raise SettingsError(f"{PREFIX}WEBHOOK_SECRET must be whsec_ and the base64 of 24 to 64 bytes.")


def check_tariff(settings: Settings) -> None:
    from schemas.tariff import DAY_S, MAX_MINIMUM, ChargeRule
    from schemas.types import MAX_PRICE

    within("free_seconds", settings.free_seconds, 0, DAY_S)
    within("minimum_units", settings.minimum_units, 1, MAX_MINIMUM)
    within("max_call_seconds", settings.max_call_seconds, 1, DAY_S)
    if settings.charge not in get_args(ChargeRule):
        raise SettingsError(f"{PREFIX}CHARGE must be elapsed or started, not {settings.charge!r}.")
    try:
        settings.tariff  # noqa: B018  it is made for its checks
    except ValueError:
        raise SettingsError(
            f"{PREFIX}MINIMUM_UNITS of {PREFIX}UNIT_SECONDS must be over, like {PREFIX}FREE_SECONDS before them, "
            f"within {PREFIX}MAX_CALL_SECONDS, and cost at most {MAX_PRICE} points a minute."
        ) from None


def check_cluster(settings: Settings) -> None:
    if not settings.database_url.startswith("postgres"):
        raise SettingsError(f"{PREFIX}CLUSTER needs a {PREFIX}DATABASE_URL of PostgreSQL, which all nodes share.")
    if not re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+):[0-9]{1,5}", settings.cluster_listen):
        raise SettingsError(f"{PREFIX}CLUSTER_LISTEN must be ADDRESS:PORT, by which other nodes reach this one.")
    if settings.cluster_secret is None or len(settings.cluster_secret.encode()) < MIN_SECRET_BYTES:
        raise SettingsError(f"{PREFIX}CLUSTER_SECRET must be {MIN_SECRET_BYTES} bytes or more, the same on all nodes.")
    if settings.jwt_secret is None and settings.jwt_jwks is None:
        raise SettingsError(
            f"{PREFIX}CLUSTER needs {PREFIX}JWT_SECRET or {PREFIX}JWT_JWKS: a made secret is one node's."
        )
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,48}", settings.node_name):
        raise SettingsError(f"{PREFIX}NODE_NAME must be 1 to 48 characters of A-Z a-z 0-9 . _ -.")
    within("node_lease_s", settings.node_lease_s, 1, 60)


def within(name: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        raise SettingsError(f"{variable(name)} must be {least} to {most}, not {value}.")
