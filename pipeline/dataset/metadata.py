"""The metadata of a data folder: which clip is in which file, by whom, and its label."""

import dataclasses
import functools
import hashlib
import pathlib
import posixpath
import re
from collections.abc import Iterator, Sequence

from pipeline.common import arguments, errors, tables
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.tasks.task import MetadataColumns


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One row: a clip, the file that holds it (relative to the data folder), its signer and label.

    Attributes:
      source: where it comes from: the metadata file's name without its ending or, of a description, the clip's name.
      split: the one that the data themselves say; empty where they do not.
    """

    path: str
    sequence_id: int
    signer: int
    label: str
    source: str
    split: str = ""


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What one or several metadata files say.

    Attributes:
      sha256: of each file's bytes, by its name.
      entries: by clip id, in the order of the files and their rows.
    """

    sha256: dict[str, str]
    entries: dict[int, Entry]

    @functools.cached_property
    def by_path(self) -> dict[str, list[Entry]]:
        """The clips of each file."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries.values():
            found.setdefault(entry.path, []).append(entry)
        return found

    @property
    def paths(self) -> list[str]:
        """The files named, sorted."""
        return sorted(self.by_path)

    @property
    def signers(self) -> list[int]:
        return sorted({entry.signer for entry in self.entries.values()})


def read(data: AnyPath, columns: MetadataColumns, names: Sequence[str] = ()) -> Metadata:
    """Reads the files `names` of `data`: the task's usual one where none are named.

    Raises:
      UserError: no such file; a column is missing; a bad id; a clip listed twice, in one file or in two; a path
        that leaves `data`; no rows.
    """
    names = names or (columns.file,)
    if not data.is_dir():
        raise UserError(f"{data}: {errors.what_is_there(data)}; {_expected(data, names[0])}")
    stems = [pathlib.PurePath(name).stem for name in names]
    if len(set(stems)) < len(stems):
        raise UserError(f"metadata files {', '.join(names)}: two have the same name, which is to tell them apart")
    sha256: dict[str, str] = {}
    entries: dict[int, Entry] = {}
    places: dict[int, str] = {}
    for name in names:
        content = _read_bytes(data, name)
        sha256[name] = hashlib.sha256(content).hexdigest()
        for entry, where in _entries(data / name, content, columns):
            if entry.sequence_id in entries:
                raise UserError(f"{where}: clip {entry.sequence_id} is also in {places[entry.sequence_id]}: delete one")
            entries[entry.sequence_id] = entry
            places[entry.sequence_id] = where
    return Metadata(sha256, entries)


def header(data: AnyPath, name: str) -> list[str]:
    """The columns of a metadata file; none where it cannot be read."""
    try:
        return tables.read_header(data / name, _read_bytes(data, name))
    except (UserError, OSError):
        return []


def _read_bytes(data: AnyPath, name: str) -> bytes:
    file = data / _path(name, f"metadata of {data}")
    if file.exists() and not file.is_file():
        raise UserError(f"{file} is no regular file: expected a CSV file")
    try:
        return file.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{data} has no {name}: {_expected(data, name)}") from None
    except OSError as error:
        raise UserError(f"cannot read {data / name}: {errors.reason(error)}") from error


def _expected(data: AnyPath, name: str) -> str:
    """The end of a message about `data` that is not a data folder: what is expected, and where it may be."""
    packed = [file for file in (data, data / f"{name}.zip") if file.suffix == ".zip" and file.is_file()]
    found = f" (unpack {packed[0]})" if packed else errors.suggest_path(data, lambda path: (path / name).is_file())
    # Not what Kaggle's sets are made of: other recordings are mostly in CSV.
    local = isinstance(data, pathlib.Path)
    if local and not found and any(any(data.glob(pattern)) for pattern in ("*.csv", "*/*.csv")):
        describe = arguments.command("python", "-m", "pipeline.describe", data, "--output", "task.toml")
        found = f"; other recordings need --task task.toml, of which {describe} writes a first version"
    return f"expected a data folder with {name} and the files it lists{found}"


def _entries(file: AnyPath, content: bytes, columns: MetadataColumns) -> Iterator[tuple[Entry, str]]:
    """Yields the rows, at least one, and where they are."""
    some = False
    for values, where in tables.read_rows(file, content, columns.names):
        some = True
        yield (
            Entry(
                _path(values[columns.path], where),
                _id(values[columns.id], columns.id, where),
                _id(values[columns.signer], columns.signer, where),
                values[columns.label],
                file.stem,
            ),
            where,
        )
    if not some:
        raise UserError(f"{file} lists no clips: is the file whole?")


def _path(text: str, where: str) -> str:
    """The normalized relative path. Lexical: links inside the data directory are its owner's."""
    path = posixpath.normpath(text)
    if not text or path == "." or path == ".." or path.startswith(("/", "../")) or "\\" in path or "\0" in path:
        raise UserError(f"{where}: path {text!r} is not a file inside the data directory, such as a/1.parquet")
    return path


def _id(text: str, column: str, where: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or not -(1 << 63) <= int(text) < 1 << 63:
        raise UserError(f"{where}: {column} {text!r} is not an integer of 64 bits: correct that line")
    return int(text)
