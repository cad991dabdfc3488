"""Sources come into units whole, and never beside one that has a name of its own in common with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker_bridge.native import units


def write_sources(folder: Path, texts: dict[str, str]) -> list[str]:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return list(texts)


def test_neighbours_make_units(tmp_path: Path) -> None:
    sources = write_sources(tmp_path, {f"{number:03}.cpp": "" for number in range(2 * units.SIZE + 1)})
    assert units.plan(tmp_path, sources) == [
        sources[: units.SIZE],
        sources[units.SIZE : 2 * units.SIZE],
        sources[2 * units.SIZE :],
    ]


def test_a_source_that_is_named_twice_is_taken_once(tmp_path: Path) -> None:
    sources = write_sources(tmp_path, {"a.cpp": "", "b.cpp": ""})
    assert units.plan(tmp_path, [*sources, *sources]) == [["a.cpp", "b.cpp"]]


@pytest.mark.parametrize(
    "text",
    [
        "inline static void onClose(uv_handle_t* handle)\n{\n}\n",
        "\tstatic constexpr size_t Length{ 16u };\n",
        "\t\tstatic thread_local uint8_t buffer[Size];\n",
        "\t\talignas(4) static thread_local uint8_t Buffer[65536];\n",
        '\tconst std::string AptString{ "apt" };\n',
        "std::mutex x;\nstatic std::once_flag GlobalInitOnce;\n",
        "constexpr TimeDelta kMaxDelta = 5;\n",
        "enum { kCounterMax = 1000 };\n",
        "static const double kWeights[kWindow] = {0.1};\n",
        "namespace webrtc {\nnamespace {\nbool IsEnabled(const Config* config, Key key) {\n}\n}  // namespace\n}\n",
    ],
)
def test_a_name_that_two_sources_have_for_themselves_keeps_them_apart(tmp_path: Path, text: str) -> None:
    sources = write_sources(tmp_path, {"a.cpp": text, "b.cpp": "", "c.cpp": text, "d.cpp": ""})
    assert units.plan(tmp_path, sources) == [["a.cpp", "b.cpp", "d.cpp"], ["c.cpp"]]


@pytest.mark.parametrize(
    "text",
    [
        "\tinline void Transport::OnClose(Tuple* tuple)\n\t{\n\t}\n",
        "\tconst map<std::string, Type> Transport::String2Type = {};\n",
        "std::string ToString(int value) {\n}\n",  # of a header: others may not define it either
        "\t\tconst auto* request = body->request();\n",
        "\t\tauto value = static_cast<int>(other);\n",
    ],
)
def test_what_is_no_name_of_a_files_own_keeps_nothing_apart(tmp_path: Path, text: str) -> None:
    sources = write_sources(tmp_path, {"a.cpp": text, "b.cpp": text})
    assert units.plan(tmp_path, sources) == [sources]


def test_a_special_case_of_a_template_comes_before_what_uses_it(tmp_path: Path) -> None:
    texts = {"a.cpp": "", "b.cpp": "\t\ttemplate<>\n\t\tint Packet<int>::Parse()\n", "c.cpp": ""}
    assert units.plan(tmp_path, write_sources(tmp_path, texts)) == [["b.cpp", "a.cpp", "c.cpp"]]


def test_one_that_fits_nowhere_makes_no_unit_of_its_own_where_there_are_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(units, "SIZE", 2)
    own = "static int x;\n"
    sources = write_sources(tmp_path, {"a.cpp": own, "b.cpp": own, "c.cpp": "", "d.cpp": "", "e.cpp": "", "f.cpp": ""})
    assert units.plan(tmp_path, sources) == [["a.cpp", "c.cpp"], ["b.cpp", "d.cpp"], ["e.cpp", "f.cpp"]]


def test_meson_is_told_of_the_units_and_each_source_is_in_one(small_worker: Path) -> None:
    assert units.join(small_worker) is None
    assert "sources: ['units/unit0.cpp']," in (small_worker / "meson.build").read_text()
    assert "common_sources" in (small_worker / "meson.build").read_text(), "the library's are left as they are"
    assert (small_worker / "units" / "unit0.cpp").read_text() == (
        '#undef MS_CLASS\n#include "../src/RTC/Router.cpp"\n#undef MS_CLASS\n#include "../src/main.cpp"\n'
    )
    libwebrtc = small_worker / "deps" / "libwebrtc"
    assert "  ['units/unit0.cpp'],\n" in (libwebrtc / "meson.build").read_text()


@pytest.mark.parametrize("folder", [".", "deps/libwebrtc"])
def test_descriptions_that_are_laid_out_otherwise_are_left_alone(small_worker: Path, folder: str) -> None:
    described = small_worker / folder / "meson.build"
    described.write_text(described.read_text().replace("sources", "files"))
    before = {path: path.read_text() for path in small_worker.rglob("meson.build")}
    reason = units.join(small_worker)
    assert reason is not None
    assert reason.startswith(f"{described.relative_to(small_worker)} does not take its sources as")
    assert {path: path.read_text() for path in small_worker.rglob("meson.build")} == before
    assert not list(small_worker.rglob("units"))
