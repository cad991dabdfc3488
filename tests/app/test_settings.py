"""Settings: the defaults of the contract, where values come from, and one clear sentence for each that can't work."""

from __future__ import annotations

import logging
import stat
from pathlib import Path
from typing import Any

import pytest

from app.addresses import own_addresses
from app.settings import Settings
from app.settings_text import SettingsError, read_dotenv
from app.shared_settings import SHARED, SHARED_AT_FIRST, config_hash

SECRET = "s" * 32


def from_env(dotenv: Path | None = None, **environ: str) -> Settings:
    return Settings.from_env({f"VOICEPLANE_{name}": value for name, value in environ.items()}, dotenv)


def test_the_defaults_are_the_contracts() -> None:
    settings = from_env()
    assert (settings.host, settings.port, settings.data_dir) == ("127.0.0.1", 8080, Path("data"))
    assert (settings.jwt_secret, settings.jwt_jwks, settings.jwt_issuer, settings.jwt_audience) == (None,) * 4
    assert settings.database_url == "sqlite:///data/voiceplane.sqlite"
    assert settings.workers >= 1
    assert settings.worker_bin is None
    assert (settings.rtc_listen_ip, settings.rtc_announced_address) == ((), ())
    assert (settings.rtc_port, settings.rtc_tcp) == (40000, True)
    assert (settings.turn_urls, settings.turn_secret) == ((), None)
    assert settings.media_kinds == {"audio"}
    assert (settings.max_transports_per_direction, settings.max_producers_per_party) == (1, 1)
    assert settings.max_packets_per_second == 200
    assert (settings.price_per_minute, settings.unit_seconds, settings.rate_limit) == (100, 60, 50)
    assert (settings.ring_timeout_s, settings.setup_timeout_s) == (30, 30)
    assert (settings.interrupted_after_s, settings.reconnect_window_s) == (5, 20)
    assert (settings.log_level, settings.log_format) == ("info", None)


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    settings = from_env(
        PORT="0", DATA_DIR=str(tmp_path), WORKERS="3", UNIT_SECONDS="0.25", MEDIA_KINDS="audio, video",
        TURN_URLS="turn:a.example:3478, turns:b.example", TURN_SECRET="t", WORKER_BIN="/bin/true", LOG_FORMAT="JSON",
    )  # fmt: skip
    assert (settings.port, settings.workers, settings.unit_seconds) == (0, 3, 0.25)
    assert settings.database_url == f"sqlite:///{tmp_path}/voiceplane.sqlite"
    assert settings.media_kinds == {"audio", "video"}
    assert settings.turn_urls == ("turn:a.example:3478", "turns:b.example")
    assert settings.worker_bin == Path("/bin/true")
    assert settings.log_format == "json"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOST", ""), ("PORT", 65536), ("PORT", -1), ("WORKERS", 0), ("RTC_PORT", 0), ("RTC_PORT", 65536),
        ("RTC_LISTEN_IP", ("localhost",)), ("RTC_LISTEN_IP", ("0.0.0.0",)), ("RTC_LISTEN_IP", ("127.0.0.1", "::")),
        ("RTC_LISTEN_IP", ("127.0.0.1", "127.0.0.1")), ("RTC_ANNOUNCED_ADDRESS", ("203.0.113.7",)),
        ("TURN_URLS", ("http://x",)), ("TURN_URLS", ("turn:x",)), ("TURN_SECRET", "alone"),
        ("JWT_SECRET", "s" * 31), ("JWT_SECRET", "-----BEGIN PUBLIC KEY-----" + SECRET),
        ("JWT_SECRET", "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQ"), ("JWT_SECRET", "ecdsa-sha2-nistp256 " + SECRET),
        ("JWT_SECRET", '{"kty": "oct", "k": "' + SECRET + '"}'),
        ("JWT_JWKS", "http://keys.example/jwks"), ("JWT_JWKS", "ftp://keys.example/jwks"),
        ("JWT_JWKS", "http://localhost.evil.example/jwks"),
        ("DATABASE_URL", "mysql://x"), ("MEDIA_KINDS", frozenset()), ("MEDIA_KINDS", frozenset({"audio", "x"})),
        ("MAX_TRANSPORTS_PER_DIRECTION", 0), ("MAX_PRODUCERS_PER_PARTY", 0), ("PRICE_PER_MINUTE", -1),
        ("UNIT_SECONDS", 0.0), ("UNIT_SECONDS", float("nan")), ("RATE_LIMIT", -1.0), ("RATE_LIMIT", float("inf")),
        ("RING_TIMEOUT_S", -3.0), ("SETUP_TIMEOUT_S", float("inf")), ("INTERRUPTED_AFTER_S", 0.0),
        ("RECONNECT_WINDOW_S", 1e9), ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_work_is_refused_in_one_sentence_that_names_it(name: str, value: Any) -> None:
    with pytest.raises(SettingsError, match=f"VOICEPLANE_{name}") as refusal:
        Settings(**{name.lower(): value})
    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert SECRET not in sentence


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("PORT", "eighty", "whole number"), ("PORT", "80.5", "whole number"), ("RATE_LIMIT", "fast", "a number")],
)
def test_text_that_is_no_number_is_refused(name: str, value: str, kind: str) -> None:
    with pytest.raises(SettingsError, match=f"VOICEPLANE_{name} must be .*{kind}.*{value}"):
        from_env(**{name: value})


def test_addresses_and_what_is_announced_of_them_are_pairs_by_order() -> None:
    settings = from_env(
        RTC_LISTEN_IP="0.0.0.0, ::1,2001:db8::5",
        RTC_ANNOUNCED_ADDRESS="203.0.113.7, ,voice.example",
    )
    assert settings.media_addresses == (("0.0.0.0", "203.0.113.7"), ("::1", None), ("2001:db8::5", "voice.example"))


def test_fewer_announced_addresses_leave_the_last_ones_as_they_are() -> None:
    settings = from_env(RTC_LISTEN_IP="0.0.0.0,::1", RTC_ANNOUNCED_ADDRESS="203.0.113.7,")
    assert settings.media_addresses == (("0.0.0.0", "203.0.113.7"), ("::1", None))


def test_media_listens_on_loopback_and_on_the_machines_own_addresses_unless_told() -> None:
    assert [one.ip for one in Settings().media_addresses] == own_addresses()


def test_a_switch_is_on_or_off() -> None:
    assert from_env(RTC_TCP="OFF").rtc_tcp is False
    with pytest.raises(SettingsError, match="VOICEPLANE_RTC_TCP must be on or off, not 'perhaps'"):
        from_env(RTC_TCP="perhaps")


def test_an_origin_that_no_browser_sends_is_told_by_its_setting() -> None:
    assert from_env(CORS_ORIGINS="https://a.example, https://b.example").cors_origins[1] == "https://b.example"
    with pytest.raises(SettingsError, match="VOICEPLANE_CORS_ORIGINS must hold origins"):
        from_env(CORS_ORIGINS="https://a.example/")


def test_jwks_by_plain_http_is_for_this_machine_only() -> None:
    for source in ("https://keys.example/jwks", "http://127.0.0.1:9/jwks", "http://localhost/jwks", "keys/jwks.json"):
        assert Settings(jwt_jwks=source).jwt_jwks == source


def test_the_environment_wins_over_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("VOICEPLANE_PORT=1111\nVOICEPLANE_HOST=::1\n")
    settings = from_env(dotenv, PORT="2222")
    assert (settings.port, settings.host) == (2222, "::1")


def test_an_empty_value_is_one_that_was_not_set(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("VOICEPLANE_PORT=1111\nVOICEPLANE_JWT_JWKS=\n")
    settings = from_env(dotenv, PORT="  ")
    assert (settings.port, settings.jwt_jwks) == (1111, None)


def test_names_that_others_set_already_are_accepted_but_ours_win() -> None:
    alone = Settings.from_env({"JWT_SECRET": SECRET, "MEDIASOUP_WORKER_BIN": "/opt/worker"}, None)
    assert (alone.jwt_secret, alone.worker_bin) == (SECRET, Path("/opt/worker"))
    both = Settings.from_env({"JWT_SECRET": SECRET, "VOICEPLANE_JWT_SECRET": "t" * 32}, None)
    assert both.jwt_secret == "t" * 32


def test_dotenv_is_read_as_shells_read_it(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "\ufeff# a comment\n\nA=1\nexport B = two words # a comment\nC='$x # y'  # said\nD=\"e=f\"\r\nE=a#b\nF=#\nG=\n",
        encoding="utf-8",
    )
    assert read_dotenv(dotenv) == {
        "A": "1", "B": "two words", "C": "$x # y", "D": "e=f", "E": "a#b", "F": "", "G": "",
    }  # fmt: skip


def test_no_dotenv_is_an_empty_one(tmp_path: Path) -> None:
    assert read_dotenv(tmp_path / "none") == {}


@pytest.mark.parametrize("line", ["what is this", "1A=2", "A='open", 'A="b" c', "=x"])
def test_a_dotenv_line_that_makes_no_sense_is_named(tmp_path: Path, line: str) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"OK=1\n{line}\n")
    with pytest.raises(SettingsError, match="line 2"):
        read_dotenv(dotenv)


def test_a_dotenv_that_is_not_text_is_refused(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"A=\xff\xfe")
    with pytest.raises(SettingsError, match="can't be read"):
        read_dotenv(dotenv)


def test_an_unknown_name_is_warned_of_with_the_nearest_known(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("VOICEPLANE_RATELIMIT=3\nOTHER=1\n")
    from_env(dotenv, PROT="1", port="2")
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [
        "unknown setting VOICEPLANE_PROT, did you mean VOICEPLANE_PORT?",
        "unknown setting VOICEPLANE_RATELIMIT, did you mean VOICEPLANE_RATE_LIMIT?",
        "unknown setting VOICEPLANE_port, did you mean VOICEPLANE_PORT?",
    ]


def test_secrets_are_never_shown() -> None:
    settings = Settings(
        jwt_secret="jwt" * 20, turn_urls=("turn:x",), turn_secret="turn-secret", database_url="postgresql://u:pw123@h/d"
    )
    assert not any(secret in repr(settings) for secret in ("jwtjwt", "turn-secret", "pw123"))


def test_the_configured_secret_is_used_as_it_is(tmp_path: Path) -> None:
    assert Settings(jwt_secret=SECRET, data_dir=tmp_path).signing_secret() == SECRET
    assert list(tmp_path.iterdir()) == []


def test_a_secret_is_made_once_for_the_owner_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(data_dir=tmp_path / "new" / "data")
    secret = settings.signing_secret()
    assert len(secret) >= 32
    assert "made one in" in caplog.text
    assert secret not in caplog.text
    caplog.clear()
    assert settings.signing_secret() == secret
    assert caplog.text == ""
    files = list(settings.data_dir.iterdir())
    assert [stat.S_IMODE(one.stat().st_mode) for one in files] == [0o600]
    assert stat.S_IMODE(settings.data_dir.stat().st_mode) == 0o700


def test_a_secret_that_others_can_read_is_theirs_no_more(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = tmp_path / "jwt-secret"
    kept.write_text(SECRET)
    kept.chmod(0o644)
    assert Settings(data_dir=tmp_path).signing_secret() == SECRET
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert f"{kept} could be read by others than its owner (0644)" in caplog.text


@pytest.mark.parametrize("content", ["", "short", "-----BEGIN PRIVATE KEY-----\n" + SECRET])
def test_a_kept_secret_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    kept = tmp_path / "jwt-secret"
    kept.write_text(content)
    kept.chmod(0o600)
    with pytest.raises(SettingsError, match="jwt-secret"):
        Settings(data_dir=tmp_path).signing_secret()


def test_a_data_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="can't be read or made"):
        Settings(data_dir=tmp_path / "file" / "data").signing_secret()


def test_with_a_jwks_there_is_no_secret(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, jwt_jwks="https://keys.example/jwks", jwt_secret=SECRET)
    with pytest.raises(SettingsError, match="VOICEPLANE_JWT_JWKS is set"):
        settings.signing_secret()


@pytest.mark.parametrize(
    ("values", "on"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "localhost"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "192.0.2.7"}, False),
        ({"host": "voice.example"}, False),
        ({"jwt_secret": SECRET}, False),
        ({"jwt_jwks": "keys.json"}, False),
        ({"demo": "off"}, False),
        ({"demo": "on", "jwt_secret": SECRET, "host": "0.0.0.0"}, True),
    ],
)
def test_the_demo_is_on_by_itself_only_where_nobody_else_comes(values: dict[str, Any], on: bool) -> None:
    assert Settings(**values).demo_is_on is on


def test_a_demo_needs_a_secret_to_sign_with() -> None:
    with pytest.raises(SettingsError, match="VOICEPLANE_DEMO needs a secret"):
        Settings(demo="on", jwt_jwks="keys.json")
    with pytest.raises(SettingsError, match="VOICEPLANE_DEMO must be on or off"):
        Settings.from_env({"VOICEPLANE_DEMO": "maybe"}, None)


def test_what_a_release_adds_to_the_shared_settings_counts_only_where_it_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = {"jwt_secret": SECRET, "cluster_secret": SECRET}
    before = config_hash(Settings(**told))
    assert before != config_hash(Settings(**told, price_per_minute=1))
    assert set(SHARED) >= SHARED_AT_FIRST
    monkeypatch.setattr("app.shared_settings.SHARED", (*SHARED, "keepalive_timeout_s"))
    assert config_hash(Settings(**told)) == before, "nodes of this release and of the one before it are no cluster"
    assert config_hash(Settings(**told, keepalive_timeout_s=1.0)) != before
