"""What a wheel of ours holds beside Python, the codec and the worker, and the platforms that it fits.

Which distribution it is, is the affair of the ``setup.py`` that asks. With ``VOICEPLANE_THIN_WHEEL`` set, a wheel has
no worker. An editable install has none of its own: it uses the cache.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Command, Extension
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

CODEC = Path("worker_bridge/native/codec")
PACKAGED = "worker_bridge/native/packaged"
THIN = "VOICEPLANE_THIN_WHEEL"

# Shared libraries that every Linux with a new enough glibc has (PEP 600, and auditwheel's policies).
EVERYWHERE = re.compile(r"(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|ld-linux[-a-z0-9]*)\.so\.\d+")


class Build(build):
    """Starts with an empty folder: what an earlier build left there would get into the wheel."""

    sub_commands = [*build.sub_commands, ("build_carried", None)]  # noqa: RUF012  as setuptools has it

    def run(self):
        shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildCarried(Command):
    """The worker with its schema and licenses, into the folder that becomes the wheel."""

    editable_mode = False

    def initialize_options(self):
        self.build_lib = None

    def finalize_options(self):
        self.set_undefined_options("build", ("build_lib", "build_lib"))

    def run(self):
        if not self.editable_mode:
            self.carry()

    def carry(self):
        if not os.environ.get(THIN):
            self.make("worker_bridge.native.bundle", PACKAGED)

    def make(self, module, *arguments):
        """Run a module of the package that is being built, which has its codec by now."""
        done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=self.build_lib, check=False)  # noqa: S603
        if done.returncode != 0:
            raise SystemExit(f"the wheel can't be made, see above; {THIN}=1 makes one without the worker")


class Wheel(bdist_wheel):
    """Named after the oldest glibc that its binaries run with, where they need nothing else."""

    def get_tag(self):
        python, abi, platform = super().get_tag()
        root = Path(self.get_finalized_command("build").build_lib)
        binaries = [root / PACKAGED / "mediasoup-worker", *root.glob("*/_*.so")]
        return python, abi, platform_tag(platform, [path for path in binaries if path.is_file()])


def platform_tag(platform, binaries):
    """``linux_x86_64`` as ``manylinux_2_36_x86_64`` (PEP 600)."""
    needs = [needed(path) for path in binaries]
    if not needs or not platform.startswith("linux_") or any(foreign for foreign, _ in needs):
        return platform
    return platform.replace("linux_", f"manylinux_2_{max(glibc for _, glibc in needs)}_", 1)


def needed(binary):
    """The libraries that a binary needs and not every Linux has, and the minor version of the glibc 2 that it needs."""
    from elftools.elf.elffile import ELFFile

    with binary.open("rb") as file:
        elf = ELFFile(file)
        tags = elf.get_section_by_name(".dynamic").iter_tags("DT_NEEDED")
        foreign = [tag.needed for tag in tags if not EVERYWHERE.fullmatch(tag.needed)]
        versions = [one.name for _, many in elf.get_section_by_name(".gnu.version_r").iter_versions() for one in many]
    minors = [int(match[1]) for name in versions if (match := re.match(r"GLIBC_2\.(\d+)", name))]
    return foreign, max(minors, default=17)


def arguments(carried=BuildCarried):
    """Those of ``setuptools.setup``, of which no distribution of ours has others. ``carried`` may add to what is
    carried."""
    codec = Extension(
        "worker_bridge._codec",
        [str(CODEC / "module.cpp")],
        include_dirs=[str(CODEC)],
        depends=sorted(str(path) for path in CODEC.glob("*.hpp")),
        language="c++",
        extra_compile_args=[
            *("-std=c++17", "-O2", "-fvisibility=hidden"),
            *("-Wall", "-Wextra", "-Wno-missing-field-initializers"),  # {} ends CPython's tables
        ],
    )
    return {
        "options": {"build_ext": {"parallel": os.cpu_count()}},
        "cmdclass": {"build": Build, "build_carried": carried, "bdist_wheel": Wheel},
        "ext_modules": [codec],
    }
