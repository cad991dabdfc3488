"""The browser pages are built from npm's packages: once, whole, and with a sentence where they can't be."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.web import build
from worker_bridge.errors import NativeError

ROOT = Path(__file__).parents[3]
CLIENT_BYTES = 60_000  # gzipped, with mediasoup-client in it


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("web") / "built"
    build.build(lambda _: None, folder)
    return folder


def test_the_client_and_swagger_ui_are_there_with_their_licenses(built: Path):
    (bundle,) = built.glob("client/*/voiceplane.js")
    assert "createSendTransport" in bundle.read_text()
    assert {path.name for path in (built / "swagger-ui").iterdir()} == set(build.SWAGGER_UI)
    told = (built / "licenses.txt").read_text()
    for package in re.findall(r"^(\S+) [\d.]+ \(", told, re.MULTILINE):
        assert re.search(rf"^{re.escape(package)} .*\n\n.*(MIT|ISC)", told, re.MULTILINE), package
    assert "mediasoup-client" in told


def test_what_is_up_to_date_is_left_alone(built: Path):
    (bundle,) = built.glob("client/*/voiceplane.js")
    before = bundle.stat()
    said: list[str] = []
    build.build(said.append, built)
    assert not said
    assert bundle.stat() == before


def test_what_is_out_of_date_is_built_anew(built: Path):
    (built / "stamp").write_text("of an earlier release")
    (built / "left-over.js").touch()
    build.build(lambda _: None, built)
    assert not (built / "left-over.js").exists()
    assert sorted(path.name for path in built.parent.iterdir()) == ["built"], "a scratch folder is left"


def test_a_missing_npm_is_one_sentence(tmp_path: Path):
    poor = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "PIP_NO_INDEX": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app.web.build", str(tmp_path / "built")]
    done = subprocess.run(command, env=poor, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"the browser pages can't be built: npm is missing: .+\.", done.stderr.splitlines()[-1])
    assert not (tmp_path / "built").exists()


def test_the_client_is_small_quiet_and_named_after_its_content(built: Path):
    (bundle,) = built.glob("client/*/voiceplane.js")
    assert len(gzip.compress(bundle.read_bytes())) <= CLIENT_BYTES
    assert bundle.parent.name == hashlib.sha256(bundle.read_bytes()).hexdigest()[:16]
    assert (bundle.parent / "voiceplane.js.map").is_file()
    assert not re.search(r"localStorage|document\.cookie|indexedDB", bundle.read_text())
    uses = re.findall(r"sessionStorage\.(\w+)", bundle.read_text())
    assert sorted(uses) == ["getItem", "setItem"], "what `persist` asks for, and nothing else"


def test_a_missing_client_is_one_sentence(tmp_path: Path):
    with pytest.raises(NativeError, match="no sources of the browser's client"):
        build.build(lambda _: None, tmp_path / "built", tmp_path)


def locked(folder: str) -> dict[str, dict[str, str]]:
    lock = json.loads((ROOT / folder / "package-lock.json").read_text())
    return {name: package for name, package in lock["packages"].items() if name}


def test_what_is_bundled_for_servers_is_what_the_client_asks_for():
    bundled, asked = locked("app/web"), locked("clients/js")
    shared = bundled.keys() & asked.keys()
    assert {"node_modules/mediasoup-client", "node_modules/esbuild"} <= shared
    assert {name: bundled[name]["integrity"] for name in shared} == {name: asked[name]["integrity"] for name in shared}


@pytest.mark.parametrize("folder", ["app/web", "clients/js"])
def test_no_package_comes_from_a_named_host(folder: str):
    packages = locked(folder)
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
