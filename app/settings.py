"""Every setting of the node: its name, unit, default and limits, from the environment and ``.env``.

A setting is one field of :class:`Settings`; the variable is its name in capitals behind ``VOICEPLANE_``. Values that
can't work are refused here, with one sentence that names the variable, so that no other module has to check again.
Knows nothing of what the settings are used for.
"""

# ruff: noqa: RUF009  setting() is dataclasses.field() with our metadata

from __future__ import annotations

import difflib
import hashlib
import logging
import math
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from app import addresses, sound_settings, urls
from app.addresses import MediaAddress, is_loopback
from app.private import make_private_folder, take_from_others

if TYPE_CHECKING:  # bodies, and what they need, take long to load: who asks for help needs none
    from schemas.tariff import ChargeRule, Tariff
    from worker_bridge.rtp import MediaKind

PREFIX = "VOICEPLANE_"
ALIASES = {"jwt_secret": "JWT_SECRET", "worker_bin": "MEDIASOUP_WORKER_BIN"}  # names that other tools use for the same
SECRET_FILE = "jwt-secret"  # noqa: S105  the file's name, in the data folder
MIN_SECRET_BYTES = 32  # RFC 7518 §3.2: a key as long as the hash
MAX_CALL_S = 14_400  # of talk, where nothing else is agreed
MIN_TOKEN_LENGTH = 16  # characters of the token for /metrics, which is not signed
GONE = {  # settings of earlier releases, and what took their place
    f"{PREFIX}RTP_STOPPED_AFTER_S": "a silence interrupts a call after INTERRUPTED_AFTER_S, and ends it when "
    "RECONNECT_WINDOW_S more are over",
    f"{PREFIX}RTP_GRACE_S": "whatever is gone of a party, an interrupted call waits for RECONNECT_WINDOW_S",
}
CLIENT_TIMES = ("client_timeout_s", "keepalive_timeout_s")
CALL_TIMES = ("unit_seconds", "ring_timeout_s", "setup_timeout_s", "interrupted_after_s", "reconnect_window_s")
KEY_FORMATS = re.compile(r"-----BEGIN|---- BEGIN SSH2|ssh-|ecdsa-sha2-|sk-|\s*\{\s*\"")  # PEM, SSH, JWK: not secrets
WEBHOOK_SECRET = re.compile(r"whsec_(?=.{32,88}$)(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
LINE = re.compile(r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*)")

LogFormat = Literal["text", "json"]

_log = logging.getLogger(__name__)


class SettingsError(Exception):
    """A setting that can't work; the text is one sentence for whoever starts the node."""


def setting(default: Any, read: Callable[[str], Any], means: str, *, secret: bool = False) -> Any:
    """A field, the function that parses its text, and its line in the documents. A secret is left out of ``repr``."""
    metadata = {"read": read, "means": means}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


def cores() -> int:
    """The CPUs that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def seconds(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in words(text))


def places(text: str) -> tuple[str, ...]:
    """As ``words``, but keeps an empty one that stands before others, because the order counts."""
    return tuple(word.strip() for word in text.rstrip(", ").split(","))


def on_or_off(text: str) -> bool:
    return {"on": True, "off": False}[text.lower()]


KINDS: dict[Callable[[str], Any], str] = {int: "a whole number", float: "a number", on_or_off: "on or off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The node's settings. Built from keywords (in tests) or by :meth:`from_env`; both are checked alike."""

    host: str = setting("127.0.0.1", str, "the address that HTTP and WebSocket listen on")
    port: int = setting(8080, int, "the TCP port of HTTP and WebSocket; 0 takes a free one")
    data_dir: Path = setting(Path("data"), Path, "the folder of the database and of a generated secret")

    max_connections: int = setting(10_000, int, "TCP connections of HTTP and WebSocket at once")
    max_connections_per_address: int = setting(0, int, "the same from one address; 0 is no limit, as behind a proxy")
    client_timeout_s: float = setting(30.0, float, "seconds for a request's header, for its body, and to read on")
    keepalive_timeout_s: float = setting(75.0, float, "seconds that a connection waits for its next request")
    cors_origins: tuple[str, ...] = setting((), words, "origins whose pages may call the API, or * for all")

    jwt_secret: str | None = setting(None, str, "HS256 secret, 32 bytes or more; else made in DATA_DIR", secret=True)
    jwt_jwks: str | None = setting(None, str, "JWKS file or URL: tokens are RS256 or ES256, and never HS256")
    jwt_issuer: str | None = setting(None, str, "the `iss` that a token must have")
    jwt_audience: str | None = setting(None, str, "the `aud` that a token must name")

    max_token_hours: float = setting(24.0, float, "hours that a token with an `iat` may live at most; 0 is no limit")

    database_url: str = setting("", str, "sqlite:///PATH or postgresql://...; else SQLite in DATA_DIR", secret=True)

    workers: int = setting(cores, int, "native workers; else one per core")
    worker_bin: Path | None = setting(None, Path, "the mediasoup-worker to run; else found or built")

    rtc_listen_ip: tuple[str, ...] = setting((), words, "IP addresses that media listens on; else loopback and our own")
    rtc_announced_address: tuple[str, ...] = setting((), places, "what clients are told in their place, behind NAT")
    rtc_tcp: bool = setting(True, on_or_off, "on or off: whether media listens for TCP, too")
    rtc_port: int = setting(40000, int, "the first worker's UDP and TCP port; the next worker takes the next")
    turn_urls: tuple[str, ...] = setting((), words, "turn: and turns: URLs with commas between")
    turn_secret: str | None = setting(None, str, "the TURN server's static-auth-secret", secret=True)

    media_kinds: frozenset[MediaKind] = setting(
        frozenset({"audio"}), lambda text: frozenset(words(text)), "audio or audio,video"
    )
    max_transports_per_direction: int = setting(1, int, "live transports per party and direction in a call")
    max_producers_per_party: int = setting(1, int, "producers per party and kind in a call")
    max_packets_per_second: int = setting(
        200, int, "packets a second above which a producer of sound is paused; 0 is no limit"
    )

    price_per_minute: int = setting(100, int, "points per unit, where neither the call nor the otomo has a price")
    unit_seconds: float = setting(60.0, float, "seconds that one charged unit lasts")
    charge: ChargeRule = setting(
        "elapsed", str.lower, "elapsed or started: whether a unit costs when it is over, or when it begins"
    )
    free_seconds: int = setting(0, int, "seconds of talk before the first unit begins")
    minimum_units: int = setting(1, int, "units that are charged together, with the first")
    max_call_seconds: int = setting(
        MAX_CALL_S, int, "seconds of talk after which a call ends that has no limit of its own"
    )

    ending_warnings_s: tuple[int, ...] = setting(
        (60, 10), seconds, "seconds before a call ends by itself at which both are told, with commas between"
    )
    rate_limit: float = setting(50.0, float, "requests a second per user, in bursts of twice that; 0 is no limit")
    socket_rate: float = setting(0.5, float, "WebSockets that a user may open a second, in bursts of 20; 0 is no limit")
    call_attempts_per_minute: int = setting(10, int, "calls that a user may ring in a minute; 0 is no limit")
    call_attempts_per_pair: int = setting(3, int, "of them, to the same otomo; 0 is no limit")
    ring_offline: bool = setting(False, on_or_off, "on or off: whether an otomo who is offline can be rung")
    ring_timeout_s: float = setting(30.0, float, "seconds that a call rings")
    setup_timeout_s: float = setting(30.0, float, "seconds from accept to the first RTP")
    interrupted_after_s: float = setting(5.0, float, "seconds without RTP of a party that interrupt a call")
    reconnect_window_s: float = setting(20.0, float, "seconds that an interrupted call waits for both parties")

    cluster: bool = setting(False, on_or_off, "on or off: whether this is one of several nodes on one PostgreSQL")
    node_name: str = setting(socket.gethostname, str, "what this node is called; else the machine's name")
    cluster_listen: str = setting("", str, "ADDRESS:PORT where other nodes reach this one, and nobody else may")
    cluster_secret: str | None = setting(None, str, "what all nodes of a cluster know, 32 bytes or more", secret=True)
    node_lease_s: float = setting(4.0, float, "seconds after which a node that is not heard of counts as dead")

    never_connected_days: int = setting(90, int, "days that a call is kept which never connected; 0 keeps it for ever")
    audit_days: int = setting(730, int, "days that it is kept what admins did; 0 keeps it for ever")

    supervision: bool = setting(False, on_or_off, "on or off: whether admins may listen and speak in calls")
    supervision_told: bool = setting(False, on_or_off, "on or off: whether the parties are told of it")

    webhook_url: str | None = setting(None, str, "an http(s) URL that is told of calls; admins make others")
    webhook_secret: str | None = setting(
        None, str, "signs what is sent there: whsec_ and the base64 of 24 to 64 bytes", secret=True
    )
    webhook_allow_private: bool = setting(
        False, on_or_off, "on or off: whether webhooks may go to addresses that are not public"
    )
    wallet_low_points: int = setting(0, int, "a balance that falls below it is told, whatever a unit costs")

    recording: bool = setting(False, on_or_off, "on or off: whether calls can be recorded")
    recording_url: str = setting(
        "", str, "where recordings are kept: a folder, or s3://bucket/prefix; else in DATA_DIR"
    )
    recording_days: int = setting(30, int, "days that a recording is kept; 0 keeps it for ever")
    recording_max_calls: int = setting(200, int, "calls that the node records at once; 0 is no limit")

    clips_dir: Path | None = setting(None, Path, "a folder of Ogg Opus clips that can be played into calls")
    low_balance_clip: str | None = setting(None, str, "the clip that a user hears at each warning of the call's end")

    audio_stream_url: str | None = setting(None, str, "a wss:// URL to which what each party says is sent as PCM")
    audio_stream_token: str | None = setting(None, str, "the bearer token that is shown there", secret=True)

    silence_warning_s: float = setting(0.0, float, "seconds without speech of either party after which both are told")
    silence_end_s: float = setting(0.0, float, "seconds without speech of either party that end a call; 0 is never")

    metrics_token: str | None = setting(None, str, "a bearer token that reads /metrics and nothing else", secret=True)

    drain_timeout_s: float = setting(
        5.0, float, "seconds that SIGTERM leaves to live calls before they are handed over"
    )
    stress_limit: float = setting(1.0, float, "the stress above which new calls are refused; 0 refuses none for it")

    demo: Literal["on", "off"] | None = setting(
        None, str.lower, "on or off: whether GET /demo is there; else on where the secret is made and HOST is loopback"
    )

    log_level: str = setting("info", str.lower, "debug, info, warning or error")
    log_format: LogFormat | None = setting(None, str.lower, "text or json; else text on a terminal")

    def __post_init__(self) -> None:
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{self.data_dir / 'voiceplane.sqlite'}")
        check_network(self)
        check_keys(self)
        check_numbers(self)
        check_choices(self)
        check_webhook(self)
        check_tariff(self)
        if problem := sound_settings.fault(self):
            raise SettingsError(PREFIX + problem)
        if self.cluster:
            check_cluster(self)

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, dotenv_path: Path | None = Path(".env")) -> Settings:
        """Read the environment over ``.env``, where there is one. Unknown names with the prefix are logged as warnings.

        Raises SettingsError for a value that can't work, a name that is gone, and a ``.env`` line that can't be read.
        """
        sources = [os.environ if environ is None else environ, read_dotenv(dotenv_path) if dotenv_path else {}]
        known = {one.name: one.metadata["read"] for one in fields(cls)}
        for name in sorted({name for source in sources for name in source if name.startswith(PREFIX)}):
            if name in GONE:
                raise SettingsError(f"{name} is gone: {GONE[name]}.")
            if name.removeprefix(PREFIX).lower() not in known or name != name.upper():
                _log.warning("unknown setting %s%s", name, nearest(name, known))
        values = {name: look_up(name, sources) for name in known}
        return cls(**{name: parse(name, text, known[name]) for name, text in values.items() if text is not None})

    @property
    def demo_is_on(self) -> bool:
        """Whether anybody may try calls, with free points. Where the setting does not say, only on a node that only
        this machine can reach."""
        made_secret = self.jwt_secret is None and self.jwt_jwks is None
        return self.demo == "on" or (self.demo is None and made_secret and is_loopback(self.host))

    @property
    def recordings_at(self) -> str:
        """The folder or the URL where recordings are kept."""
        return self.recording_url or str(self.data_dir / "recordings")

    @property
    def max_token_s(self) -> float:
        return 3600 * self.max_token_hours or math.inf

    @property
    def tariff(self) -> Tariff:
        """What calls cost that have no tariff of their own. Raises ValueError where no call can have it."""
        from schemas.tariff import Tariff

        return Tariff(
            unit_seconds=self.unit_seconds,
            unit_points=self.price_per_minute,
            charge=self.charge,
            free_seconds=self.free_seconds,
            minimum_units=self.minimum_units,
            max_seconds=self.max_call_seconds,
        )

    @property
    def media_addresses(self) -> tuple[MediaAddress, ...]:
        """Where media listens. Where the settings do not say, on the machine's present addresses, so that browsers on
        it and in its networks can reach it."""
        return addresses.pairs(self.rtc_listen_ip or addresses.own_addresses(), self.rtc_announced_address)

    def signing_secret(self) -> str:
        """The HS256 secret: the configured one, else the one in the data folder, which is made where there is none yet.

        Raises SettingsError where tokens come from a JWKS, or where the file can't be made, read or trusted.
        """
        if self.jwt_jwks is not None:
            raise SettingsError(f"{PREFIX}JWT_JWKS is set: tokens are signed elsewhere, and no secret is in use.")
        return self.jwt_secret or kept_secret(self.data_dir / SECRET_FILE)


def parse(name: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        return read(text)
    except (ValueError, KeyError):
        kind = KINDS.get(read, "a value")
        raise SettingsError(f"{variable(name)} must be {kind}, not {text!r}.") from None


def look_up(name: str, sources: list[Mapping[str, str]]) -> str | None:
    """The setting's value in the first source that has it, by either of its names; an empty one counts as not set."""
    for source in sources:
        for key in (variable(name), ALIASES.get(name, "")):
            if text := source.get(key, "").strip():
                return text
    return None


def variable(name: str) -> str:
    return PREFIX + name.upper()


def nearest(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name.upper(), [variable(one) for one in known], n=1)
    return f", did you mean {close[0]}?" if close else ""


def read_dotenv(path: Path) -> dict[str, str]:
    """``NAME=value`` lines; ``#`` comments, ``export`` and quotes as in shells, but without substitution."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} can't be read: {error}.") from error
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not (line := line.strip()) or line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        if match is None:
            raise SettingsError(f"{path} line {number} is not NAME=value.")
        found[match["name"]] = unquoted(match["value"], f"{path} line {number}")
    return found


def unquoted(value: str, where: str) -> str:
    """A value without its quotes, or without the comment that follows an unquoted one."""
    if value[:1] in {'"', "'"}:
        inner, closing, rest = value[1:].partition(value[0])
        if not closing or (rest.strip() and not rest.strip().startswith("#")):
            raise SettingsError(f"{where} has a quote that is not closed.")
        return inner
    return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()


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


SHARED = (
    *CALL_TIMES,
    *("jwt_secret", "jwt_jwks", "jwt_issuer", "jwt_audience", "max_token_hours", "ring_offline"),
    *("cluster_secret", "node_lease_s"),
    *("supervision", "supervision_told"),
    *("webhook_url", "webhook_secret", "webhook_allow_private", "wallet_low_points"),
    *("low_balance_clip", "silence_warning_s", "silence_end_s"),
    *("media_kinds", "max_transports_per_direction", "max_producers_per_party"),
    *("recording", "recording_url", "recording_days"),
    *("price_per_minute", "charge", "free_seconds", "minimum_units", "max_call_seconds", "ending_warnings_s"),
)
"""What all nodes of a cluster must be told alike."""

SHARED_AT_FIRST = frozenset(
    {
        *("unit_seconds", "ring_timeout_s", "setup_timeout_s", "interrupted_after_s", "reconnect_window_s"),
        *("jwt_secret", "jwt_jwks", "jwt_issuer", "jwt_audience", "cluster_secret", "node_lease_s"),
        *("media_kinds", "max_transports_per_direction", "max_producers_per_party", "price_per_minute"),
    }
)
"""Those that every release with clusters has. Nothing is added here: what came later counts only where it is set, so
that nodes of a release that has it and of the one before it are one cluster for as long as nobody sets it."""


def config_hash(settings: Settings) -> str:
    """By which nodes see whether they were told the same, without telling one another what."""
    usual = Settings()
    counted = (
        name for name in sorted(SHARED) if name in SHARED_AT_FIRST or getattr(settings, name) != getattr(usual, name)
    )
    told = "\n".join(f"{name}={sorted_text(getattr(settings, name))}" for name in counted)
    return hashlib.sha256(told.encode()).hexdigest()


def sorted_text(value: object) -> str:
    return ",".join(sorted(value)) if isinstance(value, frozenset) else str(value)


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
