"""The worker's sources, joined into units of about forty: the headers that they share are read, and their templates
made, once a unit and not once a file, which is most of what a build does.

Meson has unity builds of its own; but it joins all targets or none, in an order of its own, and starts the units before
the headers are made that they need. To it ours are ordinary sources. No two files come into one unit that both have a
name for themselves (a ``static`` function, a constant, something in a namespace without a name), and one that makes a
special case of a template comes before those that use the template.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

SIZE: Final = 40  # sources in a unit: a compiler takes 700 MiB for one; with more, eight cores have not enough to do

# How a file declares what is its own, where namespaces indent by a tab, or not at all.
OWN_NAMES: Final = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"^\t{0,2}(?:alignas\(\w+\) |inline |constexpr |const )*static [^;(={\n]*?[\s*&](\w+)\s*[(;={\[]",
        r"^\t{0,2}(?:alignas\(\w+\) |inline |constexpr |const |thread_local )+[^;(={\n]*?[\s*&]([A-Z]\w*)\s*[(;={\[]",
        r"\b(k[A-Z]\w*)(?:\[\w*\])?\s*[={]",
    )
)
NAMELESS: Final = re.compile(r"^namespace \{$(.*?)^\}", re.MULTILINE | re.DOTALL)
SPECIALIZATION: Final = re.compile(r"^\s*template<>", re.MULTILINE)
FUNCTION: Final = re.compile(r"^[^\s#/][^\n(={;]*[\s*&](\w+)\(", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Target:
    """One of Meson's, in a folder of the worker: which sources its description names, and where it takes them."""

    folder: str
    source: re.Pattern[str]
    takes: str
    takes_units: str  # with {} for their names


TARGETS: Final = (
    Target(".", re.compile(r"'(src/[\w/]+\.cpp)'"), "sources: common_sources + ['src/main.cpp'],", "sources: [{}],"),
    Target(
        "deps/libwebrtc",
        re.compile(r"'(libwebrtc/[\w/]+\.cc)'"),
        "library(\n  'libwebrtc',\n  libwebrtc_sources,\n",
        "library(\n  'libwebrtc',\n  [{}],\n",
    ),
)


@dataclass(slots=True)
class Unit:
    sources: list[str] = field(default_factory=list)
    names: set[str] = field(default_factory=set)

    def add(self, source: str, text: str) -> None:
        self.sources.insert(0 if SPECIALIZATION.search(text) else len(self.sources), source)
        self.names |= own_names(text)


def join(worker: Path) -> str | None:
    """Writes the units, and has Meson's descriptions name them. Returns why not, where these are not as we know them;
    nothing is changed then."""
    described = {target: worker / target.folder / "meson.build" for target in TARGETS}
    for target, path in described.items():
        text = path.read_text()
        if text.count(target.takes) != 1 or not target.source.search(text):
            return f"{path.relative_to(worker)} does not take its sources as {target.takes!r}"
    for target, path in described.items():
        text = path.read_text()
        names = write(path.parent, plan(path.parent, target.source.findall(text)))
        path.write_text(text.replace(target.takes, target.takes_units.format(", ".join(f"'{name}'" for name in names))))
    return None


def plan(folder: Path, sources: list[str]) -> list[list[str]]:
    """Which sources make a unit: neighbours, as far as their names allow. One that fits nowhere makes another unit
    begin early, as long as there are too few; then a unit grows beyond its size for it."""
    once = list(dict.fromkeys(sources))
    units: list[Unit] = []
    for source in once:
        text = (folder / source).read_text()
        fit = [unit for unit in units if unit.names.isdisjoint(own_names(text))]
        unit = next((unit for unit in fit if len(unit.sources) < SIZE), None)
        if unit is None and (len(units) < math.ceil(len(once) / SIZE) or not fit):
            units.append(unit := Unit())
        unit = unit or min(fit, key=lambda unit: len(unit.sources))
        unit.add(source, text)
    return [unit.sources for unit in units]


def own_names(text: str) -> set[str]:
    """Of a source; rather one too many."""
    nameless = "".join(NAMELESS.findall(text))
    return {*FUNCTION.findall(nameless), *(name for pattern in OWN_NAMES for name in pattern.findall(text))}


def write(folder: Path, units: list[list[str]]) -> list[str]:
    """The units' names, as Meson is told them. Each of the worker's sources defines ``MS_CLASS`` anew, for its log."""
    (folder / "units").mkdir()
    names = [f"units/unit{number}.cpp" for number in range(len(units))]
    for name, sources in zip(names, units, strict=True):
        (folder / name).write_text("".join(f'#undef MS_CLASS\n#include "../{source}"\n' for source in sources))
    return names
