"""The bridge's wheel. What it has in common with the server's is read from that one's pyproject.toml."""

import sys
import tomllib
from pathlib import Path

from setuptools import find_namespace_packages, setup

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from native_wheel import arguments

NEEDED = ("msgspec", "pyee")
SERVER = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, SETUPTOOLS = SERVER["project"], SERVER["tool"]["setuptools"]

setup(
    version=PROJECT["version"],
    python_requires=PROJECT["requires-python"],
    install_requires=[one for one in PROJECT["dependencies"] if one.startswith(NEEDED)],
    extras_require={"build": PROJECT["optional-dependencies"]["build"]},
    packages=find_namespace_packages(include=["worker_bridge*"]),
    package_data={"worker_bridge": SETUPTOOLS["package-data"]["worker_bridge"]},
    **arguments(),
)
