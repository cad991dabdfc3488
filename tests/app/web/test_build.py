"""The browser pages are built from npm's packages: once, whole, and with a sentence where they can't be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.web import build

ROOT = Path(__file__).parents[3]


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


def test_no_package_comes_from_a_named_host():
    lock = json.loads((ROOT / "app/web/package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert all("integrity" in package and "resolved" not in package for package in packages.values())
