"""Every setting of the node: its name, unit, default and limits, from the environment and ``.env``.

A setting is one field of :class:`Settings`; the variable is its name in capitals behind ``VOICEPLANE_``. Values that
can't work are refused here, with one sentence that names the variable, so that no other module has to check again.
Knows nothing of what the settings are used for.
"""

# ruff: noqa: RUF009  setting() is dataclasses.field() with our metadata

from __future__ import annotations

import logging
import math
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from app import addresses, sound_settings
from app.addresses import MediaAddress, is_loopback
from app.settings_checks import (
    check_choices,
    check_cluster,
    check_keys,
    check_network,
    check_numbers,
    check_tariff,
    check_webhook,
)
from app.settings_text import (
    PREFIX,
    SettingsError,
    look_up,
    nearest,
    on_or_off,
    parse,
    places,
    read_dotenv,
    seconds,
    words,
)
from app.signing_secret import kept_secret

if TYPE_CHECKING:  # bodies, and what they need, take long to load: who asks for help needs none
    from schemas.tariff import ChargeRule, Tariff
    from worker_bridge.rtp import MediaKind

SECRET_FILE = "jwt-secret"  # noqa: S105  the file's name, in the data folder
MAX_CALL_S = 14_400  # of talk, where nothing else is agreed
GONE = {  # settings of earlier releases, and what took their place
    f"{PREFIX}RTP_STOPPED_AFTER_S": "a silence interrupts a call after INTERRUPTED_AFTER_S, and ends it when "
    "RECONNECT_WINDOW_S more are over",
    f"{PREFIX}RTP_GRACE_S": "whatever is gone of a party, an interrupted call waits for RECONNECT_WINDOW_S",
}

LogFormat = Literal["text", "json"]

_log = logging.getLogger(__name__)


def setting(default: Any, read: Callable[[str], Any], means: str, *, secret: bool = False) -> Any:
    """A field, the function that parses its text, and its line in the documents. A secret is left out of ``repr``."""
    metadata = {"read": read, "means": means}
    if callable(default):
        return field(default_factory=default, metadata=metadata, repr=not secret)
    return field(default=default, metadata=metadata, repr=not secret)


def cores() -> int:
    """The CPUs that this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
