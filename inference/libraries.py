"""The JavaScript libraries of the page, from npm's own client, once: afterwards from this machine's cache.

`web/package-lock.json` pins the packages by their integrity, `web/libraries.json` each file by its SHA-256.
"""

import contextlib
import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile

from pipeline.common import storage
from pipeline.common.errors import UserError
from pipeline.common.temporary import temporary_folder

WEB = pathlib.Path(__file__).with_name("web")
LISTED = WEB / "libraries.json"
PACKAGES = ("package.json", "package-lock.json")
# Of an import that a browser cannot resolve, in a file that has passed its check.
_IMPORT = (b'from "@litertjs/wasm-utils"', b'from "./wasm-utils.js"')


def copy(page: pathlib.Path) -> list[str]:
    """Copies the libraries into the folder of a page, each checked. Returns their names there.

    Raises:
      UserError: they are not in the cache and cannot be installed, or are not those that are pinned.
    """
    folder, listed = _cached(), json.loads(LISTED.read_text(encoding="utf-8"))
    for name, entry in listed.items():
        content = (folder / entry["from"]).read_bytes()
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise UserError(f"{folder / entry['from']} is not the file that this program knows: delete {folder.parent}")
        (page / name).parent.mkdir(parents=True, exist_ok=True)
        (page / name).write_bytes(content.replace(*_IMPORT) if name.endswith("litert/index.js") else content)
    return list(listed)


def _cached() -> pathlib.Path:
    """The folder node_modules of the cache, installed if it is not there."""
    lock = hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    place = storage.cache() / f"page-{lock[:16]}"
    if not (place / "node_modules").is_dir():
        npm = shutil.which("npm")
        if npm is None or shutil.which("node") is None:
            raise UserError(
                "inference.page needs Node.js with npm, to install its libraries once: install it, 18 or later"
            )
        with temporary_folder() as folder:
            for name in PACKAGES:
                shutil.copy(WEB / name, folder)
            words = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
            if done.returncode:
                said = [line.removeprefix("npm error").strip() for line in (done.stderr or done.stdout).splitlines()]
                reason = next((line for line in said if line and not line.startswith("code ")), "no reason given")
                raise UserError(
                    f"npm ci failed ({reason}): the page's libraries come from npm's registry, once; try again online"
                )
            shutil.rmtree(place, ignore_errors=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            # Whole or absent, and whoever is first.
            beside = pathlib.Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
            try:
                shutil.copytree(folder, beside / "made")
                with contextlib.suppress(OSError):
                    (beside / "made").rename(place)
            finally:
                shutil.rmtree(beside, ignore_errors=True)
    return place / "node_modules"
