"""Tries the codec with garbage under the address and undefined-behaviour sanitizers, for some two minutes.

``python -m tests.sanitize``, from the checkout. The extension is built for it into a scratch folder, and the tests
that feed them garbage run on those, the codec's with ten times the trials (``CODEC_FUZZ_SCALE``). Any report of a
sanitizer ends the run. Needs g++ with its libasan and libubsan.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

FLAGS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
TESTS = (
    "tests/worker_bridge/test_codec.py",
    "tests/worker_bridge/native/test_codec_roundtrip.py",
    "tests/worker_bridge/native/test_codec_garbage.py",
)
IS_OURS = "import sys, worker_bridge._codec as codec; sys.exit(not codec.__file__.startswith(sys.argv[1]))"


def run(arguments: list[str], env: Mapping[str, str]) -> int:
    return subprocess.run([sys.executable, *arguments], env={**os.environ, **env}, check=False).returncode


def build(folder: Path) -> int:
    """Puts the whole package, with its instrumented extensions, below ``folder / "lib"``."""
    target = ("--build-lib", f"{folder}/lib")
    metadata = ("egg_info", "--egg-base", str(folder))  # else it would be left in the checkout
    commands = ["build_py", *target, "build_ext", *target, "--build-temp", f"{folder}/objects", *metadata]
    return run(["-W", "ignore", "setup.py", "-q", *commands], {"CFLAGS": FLAGS, "LDFLAGS": FLAGS})


def library(name: str) -> str:
    found = subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    return found.stdout.strip()


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="sanitize-") as scratch:
        folder = Path(scratch)
        if build(folder):
            return 1
        env = {
            # Python is not built with the sanitizers, so that their libraries have to come first.
            "LD_PRELOAD": f"{library('libasan.so')} {library('libubsan.so')}",
            "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1",  # Python frees not everything at its end
            "UBSAN_OPTIONS": "print_stacktrace=1",
            "PYTHONMALLOC": "malloc",  # Python's own pools would hide what is wrong from the sanitizer
            "PYTHONPATH": str(folder / "lib"),
            "CODEC_FUZZ_SCALE": os.environ.get("CODEC_FUZZ_SCALE", "10"),
        }
        if run(["-P", "-c", IS_OURS, scratch], env):
            print("the tests would not run on the instrumented extensions", file=sys.stderr)
            return 1
        # --confcutdir: what other tests share is the whole application, and no business of these
        options = ["-q", "-p", "no:cacheprovider", "--confcutdir=tests/worker_bridge"]
        options += ["-o", "timeout=3600", "-o", "faulthandler_timeout=3600"]  # instrumented code is slow
        return run(["-P", "-m", "pytest", *options, *TESTS], env)


if __name__ == "__main__":
    sys.exit(main())
