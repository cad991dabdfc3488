"""The licenses that go with a worker, on machines that lack them."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker_bridge.errors import NativeError
from worker_bridge.native import notices


@pytest.fixture
def documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a machine of the test's own keeps what Debian says of its packages; empty."""
    monkeypatch.setattr(notices, "DOCUMENTS", tmp_path)
    return tmp_path


def stated(documents: Path, package: str) -> Path:
    path = documents / package / "copyright"
    path.parent.mkdir()
    path.write_text(package)
    return path


def test_a_license_that_is_missing_names_its_package(documents: Path) -> None:
    with pytest.raises(NativeError, match="the license of libuv is missing: install libuv1-dev"):
        notices.installed("libuv", "libuv1-dev")


def test_of_several_versions_the_last_one_counts(documents: Path) -> None:
    stated(documents, "libstdc++-11-dev")
    last = stated(documents, "libstdc++-12-dev")
    assert notices.installed("gcc-runtime", notices.LIBRARIES["gcc-runtime"]) == last


def test_an_installed_libsrtp_needs_no_network(documents: Path, no_tools: Path, tmp_path: Path) -> None:
    ours = stated(documents, "libsrtp2-1")
    assert notices.libsrtp_license(tmp_path, lambda _: None) == ours
