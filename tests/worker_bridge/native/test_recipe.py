"""The steps of the build from source refuse what they were not made for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.worker_bridge.native.stand_ins import MESON, NICE, RUNS, write_executable
from worker_bridge.errors import NativeError
from worker_bridge.native import cache, recipe
from worker_bridge.native.libsrtp import source_list

VERSION = cache.worker_version()


def test_a_bare_machine_is_told_everything_that_is_missing_at_once(tmp_path: Path, no_tools: Path) -> None:
    with pytest.raises(NativeError, match=r"apt-get install g\+\+ flatbuffers-compiler pkg-config$"):
        recipe.check_system(tmp_path)


def test_missing_headers_are_told_by_their_packages(tmp_path: Path, no_tools: Path) -> None:
    for program in ("flatc", "pkg-config"):
        write_executable(no_tools / program, "#!/bin/sh\n")
    write_executable(no_tools / "g++", "#!/bin/sh\nexit 1\n")
    with pytest.raises(NativeError, match=r"apt-get install libabsl-dev libuv1-dev libssl-dev libflatbuffers-dev$"):
        recipe.check_system(tmp_path)


@pytest.mark.parametrize(("version", "text"), [("1.0.1", "meson 1.0.1 is too old"), (None, "meson is missing")])
def test_an_old_or_missing_meson_is_told(tmp_path: Path, no_tools: Path, version: str | None, text: str) -> None:
    for program in ("flatc", "pkg-config", "g++", "ninja"):
        write_executable(no_tools / program, "#!/bin/sh\n")
    if version:
        write_executable(no_tools / "meson", f"#!/bin/sh\necho {version}\n")
    with pytest.raises(NativeError, match=rf"^{text}.*pip install 'voiceplane\[build\]'$"):
        recipe.check_system(tmp_path)


def test_our_subprojects_take_the_place_of_every_download(tmp_path: Path) -> None:
    theirs = tmp_path / "subprojects"
    (theirs / "packagefiles").mkdir(parents=True)
    (theirs / "libuv.wrap").touch()
    recipe.replace_subprojects(tmp_path)
    left = sorted(path.name for path in theirs.iterdir())
    assert left == [
        "abseil-cpp",
        "flatbuffers",
        "libsrtp3",
        "libuv",
        "openssl",
        "unordered_dense",
        "unordered_dense.wrap",
    ]
    assert not any("url" in path.read_text() for path in theirs.glob("*.wrap"))


def test_a_package_that_is_laid_out_otherwise_is_refused(tmp_path: Path) -> None:
    (tmp_path / "subprojects").mkdir()
    with pytest.raises(NativeError, match="holds no wrap files"):
        recipe.replace_subprojects(tmp_path)


def test_without_sources_and_library_libsrtp_is_asked_for(tmp_path: Path, no_tools: Path) -> None:
    (tmp_path / "subprojects").mkdir()
    with pytest.raises(NativeError, match=r"libsrtp is missing: install it \(apt-get install libsrtp2-dev\)"):
        recipe.place_libsrtp(tmp_path, tmp_path / "apt", lambda _: None)


def test_the_systems_libsrtp_is_taken_with_a_warning(tmp_path: Path, no_tools: Path) -> None:
    for program in ("pkg-config", "g++"):
        write_executable(no_tools / program, "#!/bin/sh\n")
    said: list[str] = []
    recipe.place_libsrtp(tmp_path, tmp_path / "apt", said.append)
    assert [line.startswith("warning: using the system's libsrtp") for line in said] == [True]


def test_source_lists_of_both_forms_keep_the_releases_own_suites() -> None:
    deb822 = (
        "Types: deb\nURIs: http://a/debian\nSuites: bookworm bookworm-updates\nComponents: main\n\n"
        "# Comment\nTypes: deb\nURIs: http://b/debian\nSuites: bookworm-security\nComponents: main\n"
    )
    assert source_list(deb822, "bookworm") == deb822.replace("Types: deb", "Types: deb-src")
    assert source_list("Types: deb\nURIs: http://c\nSuites: nodistro\nComponents: main\n", "bookworm") == ""
    lines = ["deb http://a bookworm main", "deb-src http://a bookworm main", "# deb x", "deb http://g x-bookworm main"]
    assert source_list("\n".join(lines), "bookworm") == "deb-src http://a bookworm main\n"


# ---------------------------------------------------------------- compiling

# A ninja that makes a worker, or can't compile what it shall refuse.
NINJA = """#!/bin/sh
echo "[1/2] Compiling"
{refusal}
printf '{runs}' > "$2/mediasoup-worker"
/bin/chmod +x "$2/mediasoup-worker"
"""
REFUSAL = '/bin/grep -q units/unit0.cpp "$2/meson.build" && { echo "error: redefinition of x"; exit 1; }'


@pytest.fixture
def compilers(no_tools: Path) -> Path:
    write_executable(no_tools / "meson", MESON)
    write_executable(no_tools / "nice", NICE)
    return no_tools


def ninja(refusal: str = "") -> str:
    return NINJA.format(refusal=refusal, runs=RUNS.replace("\n", "\\n"))


def test_sources_are_compiled_in_units(small_worker: Path, compilers: Path, tmp_path: Path) -> None:
    write_executable(compilers / "ninja", ninja())
    said: list[str] = []
    built = recipe.compile_sources(small_worker, tmp_path, said.append)
    assert recipe.runs_here(built)
    assert "units/unit0.cpp" in (built.parent / "meson.build").read_text()
    assert said == ["compiling 1/2"]


@pytest.mark.parametrize("fits", [True, False], ids=["they do not compile", "they do not fit"])
def test_sources_that_cannot_be_joined_are_compiled_one_by_one(
    small_worker: Path, compilers: Path, tmp_path: Path, fits: bool
) -> None:
    write_executable(compilers / "ninja", ninja(REFUSAL))
    if not fits:
        (small_worker / "meson.build").write_text("executable('mediasoup-worker', sources: everything)\n")
    untouched = (small_worker / "meson.build").read_text()
    said: list[str] = []
    built = recipe.compile_sources(small_worker, tmp_path, said.append)
    assert recipe.runs_here(built)
    assert (built.parent / "meson.build").read_text() == untouched
    reason = "redefinition of x" if fits else "meson.build does not take its sources as"
    assert [line for line in said if line.startswith("warning") and reason in line]


def test_sources_that_do_not_compile_at_all_are_told(small_worker: Path, compilers: Path, tmp_path: Path) -> None:
    write_executable(compilers / "ninja", ninja('echo "error: no such header"; exit 1'))
    with pytest.raises(NativeError, match=r"compiling the worker failed: .*no such header"):
        recipe.compile_sources(small_worker, tmp_path, lambda _: None)


@pytest.mark.parametrize(
    ("script", "runs"), [(RUNS, True), ("#!/bin/sh\nexit 127\n", False), ("\x7fELF of another", False)]
)
def test_a_binary_runs_here_or_not(tmp_path: Path, script: str, runs: bool) -> None:
    assert recipe.runs_here(write_executable(tmp_path / "worker", script)) is runs


# ---------------------------------------------------------------- cache


def test_the_cache_folder_is_named_after_release_and_recipe() -> None:
    assert re.fullmatch(rf"{re.escape(VERSION)}-[0-9a-f]{{12}}", cache.worker_folder().name)
