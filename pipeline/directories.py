"""Output directories: each says what it is, and is complete or absent.

Every stage writes one directory. `request.json` is written first: the kind of directory and what was asked for (options
and the fingerprints of the inputs). `manifest.json` is written last; a directory without it is incomplete, and readers
refuse it. The same request finds a complete directory done; another request never overwrites it.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from pipeline.commands import UserError

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
REQUEST = "request.json"


@dataclasses.dataclass(frozen=True)
class Request:
    """What a stage was asked for: `settings` is JSON data that decides the directory's content, and nothing else."""

    kind: str
    settings: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "schema_version": SCHEMA_VERSION, "settings": self.settings}

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.as_json())


def fingerprint(data: Any) -> str:
    """SHA-256 of JSON data, independent of the order of keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def prepare(directory: pathlib.Path, request: Request) -> bool:
    """Claims `directory` for `request`. Returns whether it is already complete.

    Raises:
      UserError: it holds something else, or the result of other settings, or cannot be written.
    """
    if (directory / REQUEST).is_file():
        found = read_json(directory / REQUEST)
        if found.get("kind") != request.kind:
            raise UserError(f"{directory} holds a {_kind(found)}, not a {request.kind}: choose another directory")
        if found == json.loads(json.dumps(request.as_json())):
            return (directory / MANIFEST).is_file()
        # Where nothing came of the other request, it is no loss.
        if any(file.name != REQUEST for file in directory.iterdir()):
            raise UserError(
                f"{directory} holds a {request.kind} made with other settings"
                f" ({_first_difference(found, request.as_json())}): choose another directory, or delete this one"
            )
    elif directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory} already holds something else: choose an empty or new directory")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / REQUEST, request.as_json())
    except OSError as error:
        raise UserError(f"cannot write to {directory}: {error.strerror or error}") from error
    return False


def complete(directory: pathlib.Path, request: Request, content: dict[str, Any]) -> None:
    """Marks `directory` complete by writing its manifest: the request, its fingerprint, and `content`."""
    manifest = request.as_json() | {"fingerprint": request.fingerprint} | content
    write_json(directory / MANIFEST, manifest)


def read_manifest(directory: pathlib.Path, kind: str) -> dict[str, Any]:
    """The manifest of a complete directory of this kind and schema version, or a `UserError` that says what to do."""
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory (expected a {kind})")
    if not (directory / MANIFEST).is_file():
        if (directory / REQUEST).is_file():
            raise UserError(
                f"{directory} is unfinished: run the command that makes it again; it goes on where it stopped"
            )
        raise UserError(f"{directory} is not a {kind}: it has no {MANIFEST}")
    manifest = read_json(directory / MANIFEST)
    if manifest.get("kind") != kind:
        raise UserError(f"{directory} is a {_kind(manifest)}, expected a {kind}")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise UserError(
            f"{directory} has schema version {manifest.get('schema_version')}, this program reads version"
            f" {SCHEMA_VERSION}: make it again"
        )
    return manifest


def read_json(path: pathlib.Path) -> dict[str, Any]:
    """A JSON object, or a `UserError` naming the file."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}") from error
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected a JSON object")
    return data


def write_json(path: pathlib.Path, data: Any) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary name beside `path` and renames it in place at the end; on an error `path` stays as it was."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _kind(data: dict[str, Any]) -> str:
    return str(data.get("kind", "directory of another program"))


def _first_difference(found: Any, wanted: Any, name: str = "") -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            if found.get(key) != wanted.get(key):
                return _first_difference(found.get(key), wanted.get(key), f"{name}.{key}".lstrip("."))
    return f"{name}: {_shorten(found)} there, {_shorten(wanted)} asked for"


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
