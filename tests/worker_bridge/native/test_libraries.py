"""What is linked into a worker can be seen, so that it is known when to build it anew."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest

from tests.worker_bridge.native.stand_ins import write_executable
from worker_bridge.native import cache
from worker_bridge.native.libraries import PACKAGES, installed_packages, openssl_version


def test_the_worker_of_this_machine_says_which_openssl_it_has(real_binary: Path) -> None:
    version = openssl_version(real_binary)
    assert version is not None
    manifest = cache.Manifest.read(real_binary.parent)
    assert manifest is not None
    assert manifest.libraries["libssl-dev"].startswith(f"{version}-"), "what was installed when it was built"


@pytest.mark.parametrize("text", ["", "built against OpenSSL 3", "OpenSSL 3.0.19 27 Jan 2026 and more"])
def test_what_is_no_release_of_openssl_is_not_taken_for_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "binary").write_bytes(text.encode() + b"\1")
    assert openssl_version(tmp_path / "binary") is None


def test_a_library_that_has_openssl_in_it_says_so_with_its_letters(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\0OpenSSL 1.1.1w  11 Sep 2023\0")
    assert openssl_version(tmp_path / "binary") == "1.1.1w"
    assert re.match(r"OpenSSL \d", ssl.OPENSSL_VERSION), "as it calls itself"


def test_debians_packages_are_named_with_their_versions(tmp_path: Path) -> None:
    found = installed_packages(tmp_path)
    assert set(found) == set(PACKAGES)
    assert re.match(r"3\.\d+\.\d+-", found["libssl-dev"])


def test_a_system_without_dpkg_names_none(tmp_path: Path, no_tools: Path) -> None:
    assert installed_packages(tmp_path) == {}
    write_executable(no_tools / "dpkg-query", "#!/bin/sh\necho no packages found >&2\nexit 1\n")
    assert installed_packages(tmp_path) == {}
