"""The one native extension. Everything else about the package stands in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, setup

CODEC = Path("worker_bridge/native/codec")

setup(
    ext_modules=[
        Extension(
            "worker_bridge._codec",
            [str(CODEC / "module.cpp")],
            depends=sorted(str(path) for path in CODEC.glob("*.hpp")),
            language="c++",
            extra_compile_args=[
                *("-std=c++17", "-O2", "-fvisibility=hidden"),
                *("-Wall", "-Wextra", "-Wno-missing-field-initializers"),  # {} ends CPython's tables
            ],
        )
    ]
)
