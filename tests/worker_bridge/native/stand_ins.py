"""Programs for a machine that has none: shell scripts in the place of npm, compilers and workers."""

from __future__ import annotations

from pathlib import Path

RUNS = "#!/bin/sh\nexit 41\n"  # what a worker does that is asked whether it runs here, and no more
NICE = '#!/bin/sh\nexec "$@"\n'

# Says that it is new enough, or makes the folder that it was to set up, with the description that it was given.
MESON = """#!/bin/sh
[ "$1" = setup ] || { echo 1.5.0; exit; }
for last; do :; done
/bin/mkdir -p "$last"
/bin/cp meson.build "$last/"
"""


def write_executable(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path
