"""Output directories: each says what it is, and is complete or absent.

Every stage writes one directory. `request.json` is written first: the kind of directory and what was asked for (options
and the fingerprints of the inputs). `manifest.json` is written last; a directory without it is incomplete, and readers
refuse it. The same request finds a complete directory done; another request never overwrites it. One process at a time
works on a directory, as far as one machine can tell: of one in a bucket nothing tells.
"""

import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import shlex
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any, Self

from pipeline.common import errors, storage, temporary
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath, GsPath, check_ends, replacing, sha256_of

SCHEMA_VERSION = 4
MANIFEST = "manifest.json"
REQUEST = "request.json"
_SEAL = "sha256"  # of the other data of a JSON file


class Kind(str):
    """A kind of directory, as manifests name it; `made_by` are the commands that make one, for messages."""

    made_by: str

    def __new__(cls, name: str, *, made_by: str) -> Self:
        kind = super().__new__(cls, name)
        kind.made_by = made_by
        return kind


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


def prepare(directory: AnyPath, request: Request) -> bool:
    """Claims `directory` for `request`. Returns whether it is already complete, and says so.

    Raises:
      UserError: it holds something else, or the result of other settings, or cannot be written.
    """
    if not directory.is_dir() and (directory.exists() or directory.is_symlink()):
        raise UserError(f"{directory} is {errors.what_is_there(directory)}: choose another directory to write to")
    with failures_named(directory):
        complete = _look(directory, request)
        if not complete:
            directory.mkdir(parents=True, exist_ok=True)
            _claim(directory)
            with contextlib.ExitStack() as stack:
                stack.callback(_release, directory)
                # Again, now that no other process changes it: one may have finished it meanwhile.
                complete = _look(directory, request)
                if not complete:
                    storage.remove_leftovers(directory)
                    temporary.remove_leftovers()
                    write_json(directory / REQUEST, request.as_json())
                    stack.pop_all()  # it stays claimed
    if complete:
        print(f"{directory} is already complete")
    return complete


def _look(directory: AnyPath, request: Request) -> bool:
    """Whether `directory` is the complete result of `request`; False where it may be written to."""
    if (directory / REQUEST).is_file():
        found = read_json(directory / REQUEST)
        if found == json.loads(json.dumps(request.as_json())):
            if not (directory / MANIFEST).exists():
                return False
            if read_json(directory / MANIFEST).get("fingerprint") != request.fingerprint:
                raise UserError(f"{directory / MANIFEST} is of something else: delete {directory} and make it again")
            return True
        # Where nothing came of the other request, it is no loss.
        if any(file.name != REQUEST for file in _kept(directory)):
            raise UserError(f"{directory} holds {_another(found, request)}: choose another directory")
    elif directory.exists() and any(_kept(directory)):
        raise UserError(f"{directory} already holds something else: choose an empty or new directory")
    return False


def _kept(directory: AnyPath) -> Iterator[AnyPath]:
    """What is in a directory, but for what a process that was killed left half-written."""
    return (file for file in directory.iterdir() if not storage.is_leftover(file.name))


# What this process works on, by real path: file descriptors that hold a lock each, at the latest until it ends.
_claimed: dict[pathlib.Path, int] = {}


def _claim(directory: AnyPath) -> None:
    """Raises `UserError` where another process works on `directory`; a process that is gone works on nothing."""
    if isinstance(directory, GsPath):
        return
    place = directory.resolve()
    if place in _claimed:
        return
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise UserError(
                f"another process is working on {directory}: wait for it, or stop it and run the same command again"
            ) from None
        # Some network file systems have no locks: there, nothing tells.
    else:
        _claimed[place] = descriptor


def _release(directory: AnyPath) -> None:
    if isinstance(directory, pathlib.Path) and (claim := _claimed.pop(directory.resolve(), None)) is not None:
        os.close(claim)


def complete(
    directory: AnyPath,
    request: Request,
    content: dict[str, Any],
    *,
    files: Iterable[str] = (),
    packages: Iterable[types.ModuleType] = (),
) -> None:
    """Marks `directory` complete by writing its manifest: the request, its fingerprint, what made it, and `content`.

    Args:
      files: those whose SHA-256 the manifest is to have: all that later commands read.
      packages: those whose versions are told, beside Python's.
    """
    versions = {"python": platform.python_version()} | {package.__name__: package.__version__ for package in packages}
    made = {"fingerprint": request.fingerprint, "command": shlex.join(sys.orig_argv), "versions": versions}
    sums = {"files": {name: sha256_of(directory / name) for name in files}}
    write_json(directory / MANIFEST, request.as_json() | made | content | sums)
    _release(directory)


def read_manifest(
    directory: AnyPath, kind: Kind | None = None, *, needed: Iterable[str] = (), files: Iterable[str] = ()
) -> dict[str, Any]:
    """The manifest of a complete directory of this kind (any where None), or a `UserError` that says what to do.

    Args:
      needed: what the manifest must hold beyond what all do.
      files: of the directory, which must be those that the manifest describes.
    """
    expected = _expected(kind, directory)
    if not directory.is_dir():
        raise UserError(f"{directory}: {errors.what_is_there(directory)}{expected}")
    if not (directory / MANIFEST).is_file():
        if (directory / REQUEST).is_file():
            raise UserError(f"{directory} is unfinished: run the command that makes it again, which continues it")
        raise UserError(f"{directory} has no {MANIFEST}{expected}")
    manifest = read_json(directory / MANIFEST)
    if not _is_of_kind(manifest, kind):
        raise UserError(f"{directory} is {_kind(manifest)}{expected}")
    if manifest.get("schema_version") != SCHEMA_VERSION:
        raise UserError(f"{directory} is {_of_version(manifest)}: delete it and make it again")
    always = ("kind", "settings", "fingerprint", "command", "versions", "files")
    if missing := [name for name in (*always, *needed) if name not in manifest]:
        raise UserError(f"{directory / MANIFEST} lacks {', '.join(missing)}: delete {directory} and make it again")
    for name in files:
        check_file(directory / name, manifest["files"].get(name))
    return manifest


def read_json(path: AnyPath) -> dict[str, Any]:
    """A JSON object that `write_json` wrote, or a `UserError` naming the file.

    What another version or another program wrote is returned as it is: a manifest tells which it is of.
    """
    try:
        check_ends(path)
        data = parse_json(path.read_bytes())
        if not isinstance(data, dict):
            raise ValueError("no JSON object")
        foreign = path.name == MANIFEST and "kind" not in data
        of_another_version = (
            path.name in (MANIFEST, REQUEST) and data.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION
        )
        if data.pop(_SEAL, None) != fingerprint(data) and not (foreign or of_another_version):
            raise ValueError("it is not what was written: changed since, or another program's")
    except (OSError, ValueError) as error:
        advice = f"{path.parent} is damaged, delete it and make it again"
        raise errors.cannot_read(path, error, advice) from error
    return data


def parse_json(content: bytes) -> Any:
    """Raises `ValueError` for whatever is wrong: no UTF-8, no JSON, nested too deep, a long number, a name twice."""
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"it has {next(name for name in names if names.count(name) > 1)!r} more than once")
    return found


def check_file(path: AnyPath, sha256: str | None, *, described_by: str = MANIFEST) -> None:
    """Raises `UserError` where a file of a directory is not the one that its manifest, say, describes."""
    try:
        found = sha256_of(path)
    except OSError as error:
        raise errors.cannot_read(path, error, f"delete {path.parent} and make it again") from error
    if found != sha256:
        raise UserError(
            f"{path} is not the file that {described_by} describes: it was cut short, changed or replaced; delete"
            f" {path.parent} and make it again"
        )


def write_json(path: AnyPath, data: dict[str, Any]) -> None:
    """Writes JSON data with their own SHA-256, by which `read_json` knows that nothing has changed."""
    own = {name: value for name, value in data.items() if name != _SEAL}
    sealed = own | {_SEAL: fingerprint(own)}
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(sealed, file, indent=1, sort_keys=True)
        file.write("\n")


@contextlib.contextmanager
def failures_named(directory: AnyPath) -> Iterator[None]:
    """What the system refuses within the block becomes a `UserError` that names `directory`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {directory}: {errors.reason(error)}") from error


def _with_article(kind: str) -> str:
    return f"{'an' if kind[:1] in 'aeiou' else 'a'} {kind}"


def _kind(data: dict[str, Any]) -> str:
    return _with_article(str(data.get("kind") or "directory of another program"))


def _expected(kind: Kind | None, wrong: AnyPath) -> str:
    """The end of a message about a directory that is not of `kind`: what makes one, and where there is one nearby."""
    nearby = errors.suggest_path(wrong, lambda path: is_complete(path, kind))
    what = f"{_with_article(kind)}, which {kind.made_by} makes" if kind else "what a command of this program made"
    return f"; expected {what}{nearby}"


def _of_version(data: dict[str, Any]) -> str:
    """Of a directory whose version is not this program's."""
    return (
        f"{_kind(data)} of another version of this program (schema version {data.get('schema_version')}, this one has"
        f" {SCHEMA_VERSION})"
    )


def _is_of_kind(manifest: dict[str, Any], kind: str | None) -> bool:
    """Of any kind, where None: a manifest of another program is of none."""
    found = manifest.get("kind")
    return bool(found) and kind in (None, found)


def is_complete(directory: AnyPath, kind: str | None) -> bool:
    """Whether it is a complete directory of this kind, as far as its manifest says."""
    try:
        return _is_of_kind(read_json(directory / MANIFEST), kind)
    except UserError:
        return False


def _another(found: dict[str, Any], request: Request) -> str:
    """In words, how the request that was found differs from the one that is asked for."""
    if found.get("kind") != request.kind:
        return f"{_kind(found)}, not {_with_article(request.kind)}"
    if found.get("schema_version") != SCHEMA_VERSION:
        return _of_version(found)
    difference = _first_difference(found, request.as_json())
    return f"{_kind(found)} made with other settings ({difference}); delete it first if you mean to replace it"


def _first_difference(found: Any, wanted: Any, name: str = "") -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            if found.get(key) != wanted.get(key):
                return _first_difference(found.get(key), wanted.get(key), f"{name}.{key}".lstrip("."))
    return f"{name}: {_shorten(found)} there, {_shorten(wanted)} asked for"


def _shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
