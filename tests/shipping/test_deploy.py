"""What is in ``deploy/``: it is well formed, it agrees with the settings, and a node lives under the unit's sandbox."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from app.settings import Settings
from app.settings_text import variable
from app.shared_settings import config_hash
from tests.conftest import SECRET, free_ports
from tests.shipping import unit
from tests.shipping.test_wheel import listening, run

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
AFTER_DRAIN_S = 25  # for calls that are ended, requests and workers; see docs/operations.md
BIN = Path(sys.executable).parent
COMPOSED = ("compose.yaml", "compose-cluster.yaml")
# of a node among several
OWN = {"Description", "Environment", "EnvironmentFile", "RestartSec", "StateDirectory", "WorkingDirectory"}


def test_the_dockerfile_is_well_formed():
    assert run(BIN / "hadolint", "Dockerfile", folder=DEPLOY) == ""


@pytest.mark.parametrize("name", COMPOSED)
def test_the_compose_file_is_well_formed(name):
    rules = "{extends: default, rules: {line-length: {max: 130}}}"
    assert run(BIN / "yamllint", "-s", "-d", rules, name, folder=DEPLOY) == ""
    run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", name, folder=DEPLOY)


@pytest.mark.parametrize("name", COMPOSED)
def test_the_compose_file_asks_for_a_password_that_the_example_names(name):
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / name).read_text()))
    assert asked == {"POSTGRES_PASSWORD"}
    assert asked <= set(named_in(DEPLOY / "voiceplane.env.example"))


@pytest.mark.parametrize(
    "name", [*COMPOSED, "voiceplane.env.example", "voiceplane.service", "voiceplane@.service", "Dockerfile"]
)
def test_every_setting_that_is_named_is_one(name):
    named = set(re.findall(r"VOICEPLANE_[A-Z_]+", (DEPLOY / name).read_text()))
    assert named
    assert named <= {variable(one.name) for one in fields(Settings)}


def test_the_example_can_be_read_by_a_node(tmp_path):
    shutil.copy(DEPLOY / "voiceplane.env.example", tmp_path / ".env")
    settings = Settings.from_env({}, tmp_path / ".env")
    assert settings.rtc_announced_address == ("203.0.113.7",)
    assert settings.jwt_secret is None


def named_in(path):
    return re.findall(r"^#?([A-Z_]+)=", path.read_text(), re.MULTILINE)


def test_whoever_stops_a_node_waits_for_its_drain():
    patience_s = Settings().drain_timeout_s + AFTER_DRAIN_S
    service = unit.settings()
    node = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["node"]
    assert "DRAIN_TIMEOUT" not in " ".join([*service["Environment"], *node["environment"]])
    assert int(service["TimeoutStopSec"][0]) >= patience_s
    assert int(node["stop_grace_period"].removesuffix("s")) >= patience_s


def test_the_nodes_of_the_cluster_are_told_what_a_node_can_be(tmp_path):
    services = yaml.safe_load((DEPLOY / "compose-cluster.yaml").read_text())["services"]
    told = [services[name]["environment"] for name in ("one", "two", "three")]
    own = {"VOICEPLANE_CLUSTER_SECRET": "x" * 32, "VOICEPLANE_JWT_SECRET": SECRET, "VOICEPLANE_WORKERS": "2"}
    nodes = [Settings.from_env(own | one, None) for one in told]
    assert all(node.cluster for node in nodes)
    assert len({config_hash(node) for node in nodes}) == 1
    ports = [
        port for node in nodes for port in (node.port, node.cluster_listen, *range(node.rtc_port, node.rtc_port + 99))
    ]
    assert len(set(ports)) == len(ports)
    balancer = services["balancer"]["environment"]
    assert [balancer[f"NODE_{number}"] for number in (1, 2, 3)] == [f"127.0.0.1:{node.port}" for node in nodes]


def test_a_node_among_several_has_the_same_unit_but_for_what_is_its_own():
    lines = [
        [line for line in (DEPLOY / name).read_text().splitlines() if line and not line.startswith("#")]
        for name in ("voiceplane.service", "voiceplane@.service")
    ]
    alone, several = ([line for line in found if line.partition("=")[0] not in OWN] for found in lines)
    assert alone == several
    assert "VOICEPLANE_NODE_NAME=%i" in (DEPLOY / "voiceplane@.service").read_text()


@pytest.mark.parametrize("name", ["voiceplane.service", "voiceplane@.service"])
def test_systemd_understands_the_unit(name, tmp_path):
    copy = tmp_path / name.replace("@", "@one")
    text = (DEPLOY / name).read_text()
    copy.write_text(re.sub(r"^ExecStart=.*$", "ExecStart=/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_exposes_little():
    score = "--threshold=13"  # tenths; a unit without any of it has 9.6
    run("systemd-analyze", "security", "--offline=true", score, "voiceplane.service", folder=DEPLOY)


def test_two_parties_talk_through_a_node_in_the_units_sandbox(tmp_path):
    env = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "VOICEPLANE_JWT_SECRET": SECRET,
        "VOICEPLANE_PORT": "0",
        "VOICEPLANE_RTC_PORT": str(free_ports(1)),
        "VOICEPLANE_RTC_LISTEN_IP": "127.0.0.1",
        "VOICEPLANE_WORKERS": "1",
        "VOICEPLANE_LOG_FORMAT": "json",
    }
    command = [sys.executable, "-m", "tests.shipping.unit", BIN / "voiceplane", "serve"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            base = listening(process)
            assert status(process.pid)["Seccomp"] == "2"  # a filter; proc(5)
            asked = [BIN / "voiceplane", "call", "--base", base, "--seconds", "1", "--json"]
            told = json.loads(run(*asked, folder=tmp_path, VOICEPLANE_JWT_SECRET=SECRET))
        finally:
            process.terminate()
            process.communicate()
    assert process.returncode == 0
    assert (told["good"], told["fault"]) == (True, None)


def test_the_sandbox_refuses_what_a_node_does_not_need():
    script = """
import ctypes, mmap, os, socket
def refused(act):
    try: act()
    except OSError as error: print(error.errno)
refused(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
refused(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC))
refused(lambda: os.chroot('/'))
refused(lambda: os.setpriority(os.PRIO_PROCESS, 0, 5))
"""
    assert run(sys.executable, "-m", "tests.shipping.unit", sys.executable, "-c", script, folder=ROOT) == "1\n1\n1\n1\n"


def status(pid):
    """proc(5)'s status of a process."""
    return dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
