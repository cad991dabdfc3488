"""The doctor on a machine of a test's making: what it finds, how it says to mend it, and that it disturbs nothing."""

from __future__ import annotations

import json
import os
import re
import resource
import socket
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from app.ledger import upgrade
from tests.conftest import SECRET, free_ports, serving
from voiceplane.cli import main
from voiceplane.cli.doctor import show
from voiceplane.doctor import (
    Finding,
    clips,
    clock,
    dtls,
    examine,
    failed,
    hearing,
    keys,
    machine,
    media,
    network,
    pages,
    sockets,
    storage,
)

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """No settings but the test's own, and an empty current folder."""
    for name in [name for name in os.environ if name.startswith("VOICEPLANE_") or name == "JWT_SECRET"]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def by_check(findings):
    return {one.check: one for one in findings}


async def test_a_fresh_machine_fails_in_nothing_and_nothing_is_made(settings_with, tmp_path):
    settings = settings_with(data_dir=tmp_path / "data", jwt_secret=None)
    found = by_check(await examine(settings))
    assert [one for one in found.values() if one.state == "fail"] == []
    assert found["database"].found.endswith("is made at the first start")
    assert "does DTLS" in found["worker"].found
    assert list(tmp_path.iterdir()) == []


async def test_a_running_node_is_well_and_stays_so(settings_with):
    async with serving(settings_with(port=free_ports(1), workers=2)) as server:
        workers = [slot.worker for slot in server.pool.slots]
        found = by_check(await examine(server.settings))
        assert not failed(found.values())
        assert found["media ports"].found.endswith("held by the node that runs here")
        assert found["http address"].found.startswith("a node answers on")
        assert found["database"].found.endswith(
            f"answers, with schema {(await upgrade(server.settings.database_url)).after}"
        )
        assert [slot.worker for slot in server.pool.slots] == workers


async def test_clips_that_can_t_be_played_are_named(settings_with, tmp_path):
    assert (await clips.clips(settings_with())).state == "ok"
    (tmp_path / "picture.opus").write_bytes(b"\x89PNG\r\n\x1a\n")
    finding = await clips.clips(settings_with(clips_dir=tmp_path, low_balance_clip="gone"))
    assert finding.state == "warn"
    assert f"{tmp_path}/picture.opus is no Ogg file" in finding.found
    assert "VOICEPLANE_LOW_BALANCE_CLIP can't be played: there is no clip gone" in finding.found


async def test_a_stranger_on_the_http_port_is_named(settings_with):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = await network.http_address(settings_with(port=taken.getsockname()[1]))
    assert finding.state == "fail"
    assert f"(pid {os.getpid()}), which is no node that answers" in finding.found


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
async def test_a_stranger_on_a_media_port_is_named(settings_with, kind):
    settings = settings_with(workers=2)
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", settings.rtc_port + 1))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        finding = await media.ports(settings)
    assert finding.state == "fail"
    assert f" {settings.rtc_port + 1} is held by " in finding.found
    assert f"(pid {os.getpid()})" in finding.found


async def test_a_media_port_is_looked_at_on_every_address_and_for_tcp_only_where_that_is_on(settings_with):
    settings = settings_with(rtc_listen_ip=("127.0.0.1", "::1"))
    with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as taken:
        taken.bind(("::1", settings.rtc_port))
        taken.listen()
        finding = await media.ports(settings)
        assert (finding.state, finding.found.partition(" (pid")[0][:4]) == ("fail", "tcp ")
        without = await media.ports(replace(settings, rtc_tcp=False))
    assert without.state == "ok"
    assert without.found == f"UDP {settings.rtc_port} are free on 127.0.0.1, ::1"


async def test_http_on_a_port_of_media_is_a_failure(settings_with):
    settings = settings_with(workers=2)
    port = settings.rtc_port + 1
    finding = await network.http_address(settings_with(workers=2, rtc_port=settings.rtc_port, port=port))
    assert (finding.state, finding.found) == ("fail", f"port {port} is one of media's, too")


@pytest.mark.parametrize(
    ("changed", "state", "found"),
    [
        ({}, "ok", "calls work on this machine alone"),
        ({"host": "0.0.0.0"}, "fail", "their calls would have no sound"),
        ({"rtc_listen_ip": ("127.0.0.1", "203.0.113.9")}, "fail", "203.0.113.9 can't be listened on"),
        ({"rtc_announced_address": ("nowhere.invalid",)}, "fail", "nowhere.invalid has no address"),
        ({"rtc_announced_address": ("localhost",)}, "warn", "Firefox takes no host name"),
        ({"rtc_announced_address": ("10.1.2.3",)}, "warn", "only clients of the same network reach 10.1.2.3"),
        ({"rtc_announced_address": ("198.51.100.7",)}, "warn", "only clients of the same network reach 198.51.100.7"),
        ({"host": "0.0.0.0", "rtc_announced_address": ("8.8.8.8",)}, "ok", "clients are told 8.8.8.8"),
        (
            {"host": "0.0.0.0", "rtc_listen_ip": ("0.0.0.0", "::1"), "rtc_announced_address": ("8.8.8.8",)},
            "ok",
            "clients are told 8.8.8.8, ::1",
        ),
        ({"rtc_listen_ip": ()}, "ok", "clients are told 127.0.0.1"),
    ],
)
async def test_what_is_said_of_the_address_that_clients_are_told(settings_with, changed, state, found):
    finding = await network.media_address(settings_with(**changed))
    assert finding.state == state
    assert found in finding.found
    assert bool(finding.mend) == (state != "ok")


async def test_a_worker_that_is_none_is_a_failure(settings_with):
    finding = await media.worker(settings_with(worker_bin=Path("/bin/true")))
    assert finding.state == "fail"
    assert "/bin/true" in finding.found
    assert "VOICEPLANE_WORKER_BIN" in finding.mend


async def test_a_worker_that_begins_no_handshake_is_a_failure(settings_with, monkeypatch):
    monkeypatch.setattr(dtls, "OUR_ROLE", "client")  # who speaks first, and the worker waits for it in vain
    monkeypatch.setattr(dtls, "WITHIN_S", 0.3)
    finding = await media.worker(settings_with())
    assert finding.state == "fail"
    assert "begins no DTLS handshake" in finding.found
    assert "worker_bridge.native build --force" in finding.mend


@pytest.mark.parametrize(
    ("changed", "state", "found"),
    [
        ({"jwt_secret": SECRET}, "ok", f"has {len(SECRET)} bytes"),
        ({"jwt_secret": "abcd" * 8}, "warn", "only 4 different characters"),
        ({"jwt_secret": None}, "ok", "will be made"),
        ({"jwt_secret": None, "host": "0.0.0.0"}, "warn", "nobody else can sign tokens"),
        ({"jwt_jwks": "/nonexistent/keys.json"}, "fail", "/nonexistent/keys.json can't be read"),
    ],
)
async def test_what_is_said_of_the_key(settings_with, changed, state, found):
    finding = await keys.tokens(settings_with(**changed))
    assert finding.state == state
    assert found in finding.found


async def test_keys_that_are_taken_from_every_issuer_are_warned_of(settings_with, tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [public_key()]}))
    settings = {"jwt_jwks": str(path), "jwt_issuer": "https://login.example.com/"}
    assert (await keys.tokens(settings_with(**settings))).state == "warn"
    assert (await keys.tokens(settings_with(**settings, jwt_audience="voice"))).found == f"1 keys from {path}"


def public_key():
    """The example of RFC 7517, A.1."""
    x = "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4"
    return {"kty": "EC", "crv": "P-256", "x": x, "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM", "kid": "1"}


async def test_a_secret_that_others_may_read_is_warned_of(settings_with, tmp_path):
    (tmp_path / ".env").write_text("VOICEPLANE_LOG_LEVEL=info\n")
    (tmp_path / ".env").chmod(0o600)
    assert (await keys.files(settings_with())).state == "ok"
    (tmp_path / ".env").chmod(0o644)
    finding = await keys.files(settings_with())
    assert (finding.state, finding.mend) == ("warn", "chmod 600 .env")


@pytest.mark.parametrize(("oldest", "state"), [("9999", "fail"), ("0007", "ok")])
async def test_a_database_of_a_later_release_is_a_failure_unless_it_may_be_used(settings_with, oldest, state):
    settings = settings_with()
    await upgrade(settings.database_url)
    with sqlite3.connect(settings.data_dir / "voiceplane.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
        database.execute("UPDATE schema_compat SET oldest = ?", (oldest,))
    database.close()
    finding = await storage.database(settings)
    assert finding.state == state
    assert re.search("schema 9999,? of a later release", finding.found)


async def test_a_database_that_does_not_answer_is_a_failure(settings_with):
    url = f"postgresql://voiceplane@127.0.0.1:{free_ports(1)}/voiceplane"
    finding = await storage.database(settings_with(database_url=url))
    assert (finding.state, finding.mend) == ("fail", "correct VOICEPLANE_DATABASE_URL, or start the database")


async def test_a_file_that_is_no_database_is_a_failure(settings_with, tmp_path):
    (tmp_path / "voiceplane.sqlite").write_text("no database, but as long as the header of one would be " * 20)
    assert (await storage.database(settings_with())).state == "fail"


async def test_room_on_the_disk_is_measured_where_the_data_will_be(settings_with, tmp_path):
    finding = await storage.disk(settings_with(data_dir=tmp_path / "not" / "yet"))
    assert finding.found.endswith(f"MiB free at {tmp_path}")


async def test_more_workers_than_cores_are_warned_of(settings_with):
    finding = await machine.cores(settings_with(workers=200, rtc_port=20000))
    assert finding.state == "warn"
    assert finding.mend.endswith(f"{len(os.sched_getaffinity(0))} or less")
    assert (await machine.memory(settings_with(workers=250, rtc_port=20000))).state in {"ok", "warn"}


async def test_receive_buffers_below_what_a_worker_asks_for_are_warned_of(settings_with, monkeypatch, tmp_path):
    assert (await machine.buffers(settings_with())).state in {"ok", "warn"}
    monkeypatch.setattr(machine, "RMEM_MAX", tmp_path / "rmem_max")
    (tmp_path / "rmem_max").write_text("212992\n")
    finding = await machine.buffers(settings_with())
    assert (finding.state, finding.found) == ("warn", "208 KiB of 1024: a moment without CPU loses packets")


async def test_the_clock_is_told_with_how_well_it_is_kept(settings_with):
    finding = await clock.clock(settings_with())
    assert finding.state in {"ok", "warn"}
    assert " UTC" in finding.found


async def test_the_pages_are_there(settings_with):
    assert (await pages.pages(settings_with())).state == "ok"


@pytest.mark.parametrize(
    ("changed", "state", "found"),
    [
        ({}, "ok", "off"),
        ({"jwt_secret": None}, "ok", "on, for this machine"),
        ({"demo": "on", "host": "0.0.0.0"}, "warn", "strangers get tokens and points"),
        ({"jwt_secret": None, "rtc_listen_ip": ()}, "ok", "on, for this machine"),
        (
            {"jwt_secret": None, "rtc_listen_ip": ("0.0.0.0",), "rtc_announced_address": ("8.8.8.8",)},
            "warn",
            "strangers",
        ),
    ],
)
async def test_a_demo_for_strangers_is_warned_of(settings_with, changed, state, found):
    finding = await pages.demo(settings_with(**changed))
    assert finding.state == state
    assert found in finding.found


def test_the_program_on_a_port_is_found():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert sockets.holder("tcp", taken.getsockname()[1]).endswith(f"(pid {os.getpid()})")
    assert sockets.holder("tcp", 1) == sockets.UNKNOWN


def test_a_setting_that_cannot_work_is_the_only_finding(monkeypatch, capsys):
    monkeypatch.setenv("VOICEPLANE_PORT", "http")
    assert main(["doctor", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert [one["found"] for one in told["checks"]] == ["VOICEPLANE_PORT must be a whole number, not 'http'"]


def test_each_finding_is_a_line_and_so_is_each_remedy(capsys):
    show([Finding("disk", "ok", "much"), Finding("clock", "warn", "late", "wind it")])
    assert capsys.readouterr().out.splitlines() == [
        "ok    disk   much",
        "warn  clock  late",
        "             -> wind it",
        "",
        "2 checks: 1 ok, 1 warn, 0 fail",
    ]


def test_too_few_descriptors_fail_the_command(tmp_path):
    def few():
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, 512))

    env = {**os.environ, "PYTHONPATH": str(ROOT), "VOICEPLANE_WORKERS": "1", "VOICEPLANE_PORT": str(free_ports(1))}
    env |= {"VOICEPLANE_RTC_PORT": str(free_ports(1)), "VOICEPLANE_JWT_SECRET": SECRET}
    env |= {"VOICEPLANE_RTC_LISTEN_IP": "127.0.0.1"}
    command = [sys.executable, "-m", "voiceplane", "doctor", "--json"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, preexec_fn=few)
    assert (done.returncode, done.stderr) == (1, "")
    told = by_check(Finding(**one) for one in json.loads(done.stdout)["checks"])
    assert [one.check for one in told.values() if one.state == "fail"] == ["descriptors"]
    assert told["descriptors"].found == "512, which 256 callers use up"


async def test_it_says_who_hears_calls(settings_with):
    assert (await hearing.hearing(settings_with())).found == "their parties alone"
    told = await hearing.hearing(settings_with(supervision=True, supervision_told=True))
    assert (told.state, told.found) == ("ok", "admins may listen and speak, and the parties are told")
    assert "are not told" in (await hearing.hearing(settings_with(supervision=True))).found
