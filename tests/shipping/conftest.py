"""A checkout to make wheels of, and a home folder to use them in."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.shipping.building import ROOT, run


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as they would be committed, and nothing that was built from them."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in run("git", "ls-files", "-co", "--exclude-standard", folder=ROOT).splitlines():
        if (ROOT / name).is_file() or (ROOT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder without caches or settings."""
    return tmp_path_factory.mktemp("home")
