"""The steps of the build from source refuse what they were not made for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from stand_ins import write_executable

from worker_bridge.errors import NativeError
from worker_bridge.native import cache, recipe
from worker_bridge.native.libsrtp import source_list

VERSION = cache.worker_version()


def write_package(folder: Path, text: str, version: str = VERSION) -> Path:
    source = folder / "worker" / recipe.KERNEL_TLS_FILE
    source.parent.mkdir(parents=True)
    source.write_text(text)
    (folder / "package.json").write_text(json.dumps({"name": "mediasoup", "version": version}))
    return source


def test_the_kernel_tls_work_around_changes_one_expression(tmp_path: Path) -> None:
    source = write_package(tmp_path, f"result = {recipe.KERNEL_TLS_WRONG} ? ret : 1;\n")
    recipe.work_around_kernel_tls(tmp_path, VERSION)
    assert source.read_text() == "result = ((operationType & BIO_CB_RETURN) != 0) ? ret : 1;\n"


@pytest.mark.parametrize("times", [0, 2])
def test_the_kernel_tls_work_around_fails_loudly_where_it_does_not_fit(tmp_path: Path, times: int) -> None:
    text = f"result = {recipe.KERNEL_TLS_WRONG} ? ret : 1;\n" * times
    source = write_package(tmp_path, text)
    with pytest.raises(NativeError, match=f"{times} times, not once"):
        recipe.work_around_kernel_tls(tmp_path, VERSION)
    assert source.read_text() == text


def test_the_kernel_tls_work_around_leaves_other_releases_alone(tmp_path: Path) -> None:
    source = write_package(tmp_path, recipe.KERNEL_TLS_WRONG, "3.28.0")
    with pytest.raises(NativeError, match=r"is mediasoup 3\.28\.0, not mediasoup"):
        recipe.work_around_kernel_tls(tmp_path, VERSION)
    assert source.read_text() == recipe.KERNEL_TLS_WRONG


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


def test_the_cache_folder_is_named_after_release_and_recipe() -> None:
    assert re.fullmatch(rf"{re.escape(VERSION)}-[0-9a-f]{{12}}", cache.worker_folder().name)
