"""The release before this one, as far as a schema makes a release: the tree before the last migration came, out of
git's history, with what is built of it, run by the same virtual environment."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.ledger.nodes import PROTOCOL
from app.settings import Settings
from app.shared_settings import config_hash
from tests.crash.killed_node import ROOT, environment_of

MIGRATIONS = Path("app/ledger/migrations/versions")
CODEC = ("worker_bridge/native/codec", "worker_bridge/native/subprojects", "setup.py")
BUILT_PAGES = Path("app/web/built")
LOOKED_AT = 20  # commits before the migration
ABOUT = """
import json
from app import settings
from app.ledger.nodes import PROTOCOL
try:
    from app.settings import config_hash  # where it was before it had a file of its own
except ImportError:
    from app.shared_settings import config_hash
print(json.dumps([PROTOCOL, config_hash(settings.Settings.from_env()), settings.__file__]))
"""


@dataclass(frozen=True, slots=True)
class Release:
    """``root`` is its tree, ``head`` its last migration's revision, ``commit`` what git calls it."""

    root: Path
    commit: str
    head: str

    @property
    def environment(self) -> Mapping[str, str]:
        """With which a process of ours is one of that release."""
        return {"PYTHONPATH": str(self.root)}


def earlier_release(folder: Path, settings: Settings) -> Release:
    """The newest release before the last migration that can be one cluster with this one, ready to run in ``folder``.
    Skips the test where git's history does not have it. ``settings`` are those of a node of the cluster."""
    why_not = []
    for number, commit in enumerate(commits_before_the_last_migration()):
        root = folder / f"release-{number}"
        check_out(commit, root)
        if (why := misfit(root, settings)) is None:
            build(commit, root)
            return Release(root, commit, last_migration(root).name.partition("_")[0])
        why_not.append(f"{commit[:9]} {why}")
        shutil.rmtree(root)
    pytest.skip(f"no release before the last migration can be one cluster with this one: {'; '.join(why_not)}")


def commits_before_the_last_migration() -> Iterator[str]:
    """Newest first. Skips the test where there is no history."""
    if (inside := git("rev-parse", "--show-toplevel")) is None or Path(inside).resolve() != ROOT.resolve():
        pytest.skip("this tree is not git's: there is no release before this one to be had")
    added = git("log", "-1", "--diff-filter=A", "--format=%H", "--", str(last_migration(ROOT).relative_to(ROOT)))
    before = git("rev-list", f"--max-count={LOOKED_AT}", f"{added}^" if added else "HEAD")
    if not before:
        pytest.skip("the history is shallow: it does not have the release before the last migration")
    yield from before.split()


def last_migration(root: Path) -> Path:
    return max(migrations(root))


def migrations(root: Path) -> list[Path]:
    return [*(root / MIGRATIONS).glob("[0-9][0-9][0-9][0-9]_*.py")]


def check_out(commit: str, root: Path) -> None:
    root.mkdir()
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", root], check=True, input=archive.stdout)


def misfit(root: Path, settings: Settings) -> str | None:
    """Why nodes of that tree and ours can't be one cluster."""
    numbers = [path.name.partition("_")[0] for path in migrations(root)]
    if len(set(numbers)) < len(numbers):
        return "has two migrations of one number"
    environment = environment_of(settings) | {"PYTHONPATH": str(root)}
    asked = [sys.executable, "-c", ABOUT]
    told = subprocess.run(asked, env=environment, cwd=settings.data_dir, capture_output=True, text=True, check=False)
    if told.returncode:
        return f"does not say what it speaks ({(told.stderr.splitlines() or ['no word'])[-1]})"
    protocol, hashed, file = json.loads(told.stdout)
    assert Path(file).is_relative_to(root), f"{file} is not the tree's own"
    if abs(protocol - PROTOCOL) > 1:
        return f"speaks protocol {protocol}, and this one {PROTOCOL}"
    if hashed != config_hash(settings):
        return "takes the same settings for others"
    return None


def build(commit: str, root: Path) -> None:
    """Give the tree what is built of it: what is built of the same sources is ours."""
    if git("diff", "--quiet", commit, "--", *CODEC) is not None:
        for file in (ROOT / "worker_bridge").glob("_codec*.so"):
            shutil.copy(file, root / "worker_bridge")
    else:
        subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], check=True, cwd=root)
    if (ROOT / BUILT_PAGES).is_dir() and not (root / BUILT_PAGES).exists():
        (root / BUILT_PAGES).symlink_to(ROOT / BUILT_PAGES)


def git(*words: str) -> str | None:
    """What it answers; None where it refuses, or is not there."""
    try:
        done = subprocess.run(["git", "-C", ROOT, *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
