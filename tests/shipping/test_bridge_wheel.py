"""A wheel of ``worker_bridge`` alone, in a project that has its own ``app``: RTP passes through a router by it."""

from __future__ import annotations

import json
import re
import tomllib
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from tests.shipping.building import ROOT, apart, run, wheel_of

BRIDGE = ROOT / "wheels" / "bridge"
README = (BRIDGE / "README.md").read_text(encoding="utf-8")
NEEDED = {"msgspec", "pyee", "typing-extensions"}  # the last by pyee

PROGRAM = """
import asyncio
import importlib.util
import socket
import struct

import app
from worker_bridge import ListenInfo, RtpCodecCapability, RtpCodecParameters, RtpEncodingParameters
from worker_bridge import RtpParameters, Worker

LOOPBACK = ListenInfo("udp", "127.0.0.1")


async def pass_rtp():
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as mouth, socket.socket(type=socket.SOCK_DGRAM) as ear:
        for end in (mouth, ear):
            end.bind(("127.0.0.1", 0))
            end.setblocking(False)
        async with Worker.running() as worker:
            router = await worker.create_router([RtpCodecCapability("audio", "audio/opus", 48000, channels=2)])
            sender = await router.create_plain_transport(LOOPBACK, comedia=True)
            opus = RtpCodecParameters("audio/opus", 100, 48000, channels=2)
            parameters = RtpParameters((opus,), encodings=(RtpEncodingParameters(ssrc=1111),))
            producer = await sender.produce("audio", parameters)
            receiver = await router.create_plain_transport(LOOPBACK)
            await receiver.connect(ip="127.0.0.1", port=ear.getsockname()[1])
            consumer = await receiver.consume(producer.id, router.rtp_capabilities)
            packet = struct.pack("!BBHII", 0x80, 100, 1, 960, 1111) + b"a voice"
            await loop.sock_sendto(mouth, packet, ("127.0.0.1", sender.tuple.local_port))
            while True:
                heard = await loop.sock_recv(ear, 2048)
                _, kind, _, _, ssrc = struct.unpack_from("!BBHII", heard)
                if ssrc == consumer.rtp_parameters.encodings[0].ssrc and not 64 <= kind & 127 < 96:  # RFC 5761 sec. 4
                    return heard[-7:].decode()


async def main():
    async with asyncio.timeout(20):
        print(app.OWNER, await pass_rtp(), *(importlib.util.find_spec(name) for name in ("schemas", "voiceplane")))


asyncio.run(main())
"""

pytestmark = pytest.mark.timeout(600)  # pip builds, and fetches what is needed for it


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(checkout, tmp_path_factory.mktemp("bridge-wheel"), "wheels/bridge")


@pytest.fixture(scope="module")
def python(wheel: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a virtual environment with the wheel and what it needs. pip looks for nothing else, and must miss nothing."""
    folder = tmp_path_factory.mktemp("bridge-installed")
    venv.create(folder, with_pip=True)
    pinned = re.split(r"^(?=[a-z0-9-]+==)", (ROOT / "requirements" / "node.txt").read_text(), flags=re.MULTILINE)
    locked = folder / "needed.txt"
    locked.write_text("".join(one for one in pinned if one.partition("==")[0] in NEEDED))
    install = [folder / "bin" / "pip", "install", "-q", "--no-compile"]
    run(*install, "--no-deps", "--require-hashes", "-r", locked, folder=home, **apart(home))
    run(*install, "--no-index", wheel, folder=home, **apart(home))
    return folder / "bin" / "python"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Somebody else's, whose package has the same name as ours."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text('OWNER = "theirs"\n')
    (tmp_path / "talk.py").write_text(PROGRAM)
    return tmp_path


def test_it_installs_the_bridge_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        told = message_from_string(archive.read(metadata).decode())
    assert top == {"worker_bridge", metadata.partition("/")[0]}
    assert told["Name"] == "voiceplane-worker-bridge"
    always = [one for one in told.get_all("Requires-Dist") or [] if "extra ==" not in one]
    assert {re.match(r"[a-z]+", one)[0] for one in always} == {"msgspec", "pyee"}
    assert told.get_payload() == README
    assert told["Description-Content-Type"] == "text/markdown"


def test_what_it_has_of_the_bridge_is_what_the_servers_wheel_has(checkout: Path, wheel: Path, tmp_path: Path) -> None:
    thin = wheel_of(checkout, tmp_path, VOICEPLANE_THIN_WHEEL="1")
    ours, servers = (
        {name for name in zipfile.ZipFile(path).namelist() if name.startswith("worker_bridge/")}
        for path in (wheel, thin)
    )
    assert {name for name in ours if not name.startswith("worker_bridge/native/packaged/")} == servers


def test_what_it_says_of_itself_is_what_the_server_says() -> None:
    ours, servers = (tomllib.loads((path / "pyproject.toml").read_text()) for path in (BRIDGE, ROOT))
    assert ours["build-system"] == servers["build-system"]
    assert ours["project"]["license"] == servers["project"]["license"]


def test_rtp_passes_beside_an_app_of_somebody_else(python: Path, project: Path, home: Path) -> None:
    told = run(python, "talk.py", folder=project, **apart(home))
    assert told == "theirs a voice None None\n"


def test_its_worker_came_with_it(python: Path, project: Path, home: Path) -> None:
    checked = json.loads(run(python, "-m", "worker_bridge.native", "check", "--json", folder=project, **apart(home)))
    assert checked["origin"] == "packaged"
    assert Path(checked["path"]).is_relative_to(python.parents[1])


def test_the_programs_of_its_readme_run(python: Path, project: Path, home: Path) -> None:
    first, *others = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    said = run(python, "-c", first, folder=project, **apart(home))
    assert re.fullmatch(r"send RTP to port \d+\nit is sent on as SSRC \d+\n", said)
    for other in others:
        run(python, "-c", other, folder=project, **apart(home))
