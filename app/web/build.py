"""``python -m app.web.build [FOLDER [CLIENT]]``: builds what browsers get besides the pages' own sources into
``built/``.

The browser's client (``clients/js``) is bundled with mediasoup-client, and Swagger UI's few files are copied. Nothing
built is committed; packages are kept in the user's cache, by their lock file, and never in the checkout; no script of a
package is run. Knows nothing of how the files are served.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from worker_bridge.errors import NativeError
from worker_bridge.native import tools
from worker_bridge.native.npm import npm
from worker_bridge.native.tools import Progress

HERE: Final = Path(__file__).parent
BUILT: Final = HERE / "built"
CLIENT: Final = HERE.parents[1] / "clients" / "js"
BUNDLE: Final = "voiceplane.js"
MANIFESTS: Final = ("package.json", "package-lock.json")
SWAGGER_UI: Final = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png", "LICENSE", "NOTICE")
LICENSES: Final = "licenses.txt"
STAMP: Final = "stamp"  # names what the folder was built from
TIMEOUT_S: Final = 300  # npm over a slow line


def build(progress: Progress, folder: Path = BUILT, client: Path = CLIENT) -> None:
    """Fill ``folder``, unless it is up to date. ``client`` is the folder of the browser's client.

    Raises NativeError where that can't be done.
    """
    sources = sorted((client / "src").glob("*.ts"))
    if not sources:
        raise NativeError(f"{client} has no sources of the browser's client: build in a checkout")
    stamp = stamp_of([Path(__file__), *(HERE / name for name in MANIFESTS), *sources])
    if (folder / STAMP).is_file() and (folder / STAMP).read_text() == stamp:
        return
    modules = packages(progress)
    progress("bundling the browser's client")
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".built-") as scratch:
        fresh = Path(scratch) / "built"
        used = bundle_client(client, fresh / "client", modules)
        (fresh / LICENSES).write_text(licenses(modules / name for name in used), encoding="utf-8")
        copy_swagger_ui(modules / "swagger-ui-dist", fresh / "swagger-ui")
        (fresh / STAMP).write_text(stamp)
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)


def bundle_client(client: Path, target: Path, modules: Path) -> list[str]:
    """The client in a folder of ``target`` that is named after the bundle's hash. Returns the packages in it."""
    scratch = target / "new"
    quiet = client / "src" / "quiet.ts"  # in place of a package that looks into the page's storage
    options = ("--sourcemap", f"--alias:debug={quiet}")
    used = bundle(client / "src" / "index.ts", scratch / BUNDLE, modules, options=options)
    name_sources(scratch / f"{BUNDLE}.map")
    scratch.rename(target / hashlib.sha256((scratch / BUNDLE).read_bytes()).hexdigest()[:16])
    return used


def name_sources(path: Path) -> None:
    """A source map that names what it is of, and not where that lay on this machine."""
    mapped = json.loads(path.read_bytes())
    mapped["sources"] = [re.sub(r"^.*?(?=(src/[a-z-]+\.ts|node_modules/))", "", one) for one in mapped["sources"]]
    path.write_text(json.dumps(mapped), encoding="utf-8")


def stamp_of(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def packages(progress: Progress, manifests: Path = HERE, *, with_dev: bool = False) -> Path:
    """The ``node_modules`` for the lock file in ``manifests``, installed once for each version of it; whole or not at
    all. ``with_dev``: what is needed to build by them, too."""
    stamp = stamp_of(manifests / name for name in MANIFESTS)
    kept = tools.user_cache() / "web" / f"{stamp}{'-dev' if with_dev else ''}" / "node_modules"
    if kept.is_dir():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
        install(manifests, Path(scratch), progress, () if with_dev else ("--omit=dev",))
        try:
            (Path(scratch) / "node_modules").rename(kept)
        except OSError:
            if not kept.is_dir():  # else another process was quicker
                raise
    return kept


def install(manifests: Path, folder: Path, progress: Progress, options: Iterable[str]) -> None:
    for name in MANIFESTS:
        shutil.copy(manifests / name, folder)
    progress("fetching the packages of the browser pages with npm")
    command = [*npm(progress), "ci", "--ignore-scripts", "--no-audit", "--no-fund", *options]
    tools.run("fetching the packages of the browser pages", command, folder=folder, timeout=TIMEOUT_S)


def bundle(source: Path, target: Path, modules: Path, form: str = "esm", options: Iterable[str] = ()) -> list[str]:
    """Bundle a script with all that it imports. Returns the names of the packages in it.

    esbuild's program is run directly: what npm puts on the path is a script, which needs node.
    """
    program = next(modules.glob("@esbuild/*/bin/esbuild"), None)
    if program is None:
        raise NativeError(f"esbuild has no program for this machine in {modules}: delete that folder and build again")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".json") as meta:
        usual = ["--bundle", f"--format={form}", "--target=es2022", "--minify", "--legal-comments=none"]
        command = [str(program), str(source), *usual, *options, f"--outfile={target}", f"--metafile={meta.name}"]
        tools.run(f"bundling {source.name}", command, folder=source.parent, env={"NODE_PATH": str(modules)})
        inputs = json.loads(Path(meta.name).read_bytes())["inputs"]
    return sorted({package_of(path) for path in inputs if "node_modules/" in path})


def package_of(path: str) -> str:
    """The package of a file: ``.../node_modules/@scope/name/lib/x.js`` is of ``@scope/name``."""
    parts = path.rpartition("node_modules/")[2].split("/")
    return "/".join(parts[: 2 if parts[0].startswith("@") else 1])


def licenses(folders: Iterable[Path]) -> str:
    """The licenses of the bundled packages, for a file that is served beside the bundle."""
    texts = []
    for folder in folders:
        stated = json.loads((folder / "package.json").read_bytes())
        files = sorted(path for path in folder.iterdir() if path.name.lower().startswith(("license", "licence")))
        text = "\n".join(path.read_text(encoding="utf-8").strip() for path in files)
        texts.append(f"{stated['name']} {stated['version']} ({stated.get('license')})\n\n{text}\n")
    return "\n\n".join(texts)


def copy_swagger_ui(package: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for name in SWAGGER_UI:
        shutil.copyfile(package / name, target / name)


if __name__ == "__main__":
    folders = [Path(argument).absolute() for argument in sys.argv[1:]]
    sys.exit(tools.as_program("the browser pages can't be built", lambda progress: build(progress, *folders)))
