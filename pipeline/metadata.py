"""The metadata of a Kaggle data directory: which sequence is in which parquet file, by whom, and its phrase."""

import csv
import dataclasses
import functools
import hashlib
import io
import json
import pathlib
import posixpath
import re
from collections.abc import Iterator, Sequence

from pipeline import commands, vocabulary
from pipeline.commands import UserError
from pipeline.storage import Path

FILE_NAME = "train.csv"
CHARACTER_MAP = "character_to_prediction_index.json"
_COLUMNS = ("path", "sequence_id", "participant_id", "phrase")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row: a sequence, the parquet file that holds it (relative to the data directory), its signer and label.

    `source` is the metadata file's name without its ending.
    """

    path: str
    sequence_id: int
    participant_id: int
    label: str
    source: str


@dataclasses.dataclass(frozen=True)
class Metadata:
    """What one or several metadata files say.

    Attributes:
      sha256: of each file's bytes, by its name.
      entries: by sequence id, in the order of the files and their rows.
    """

    sha256: dict[str, str]
    entries: dict[int, Entry]

    @functools.cached_property
    def by_path(self) -> dict[str, list[Entry]]:
        """The sequences of each parquet file."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries.values():
            found.setdefault(entry.path, []).append(entry)
        return found

    @property
    def paths(self) -> list[str]:
        """The parquet files named, sorted."""
        return sorted(self.by_path)

    @property
    def participants(self) -> list[int]:
        return sorted({entry.participant_id for entry in self.entries.values()})


def read(data: Path, names: Sequence[str] = (FILE_NAME,)) -> Metadata:
    """Reads the files `names` of `data`, and checks the character map beside them, if there is one.

    Raises:
      UserError: no such file; a column is missing; a bad id; a sequence listed twice, in one file or in two; a path
        that leaves `data`; no rows; a character map that is not this project's vocabulary.
    """
    if not data.is_dir():
        raise UserError(f"{data}: {commands.what_is_there(data)}; {_expected(data, names[0])}")
    stems = [pathlib.PurePath(name).stem for name in names]
    if len(set(stems)) < len(stems):
        raise UserError(f"metadata files {', '.join(names)}: two have the same name, which is to tell them apart")
    sha256: dict[str, str] = {}
    entries: dict[int, Entry] = {}
    places: dict[int, str] = {}
    for name in names:
        content = _read_bytes(data, name)
        sha256[name] = hashlib.sha256(content).hexdigest()
        for entry, line in _entries(data / name, content):
            if entry.sequence_id in entries:
                raise UserError(
                    f"{data / name}, line {line}: sequence {entry.sequence_id} is also on {places[entry.sequence_id]}:"
                    " delete one"
                )
            entries[entry.sequence_id] = entry
            places[entry.sequence_id] = f"line {line} of {name}"
    _check_characters(data / CHARACTER_MAP)
    return Metadata(sha256, entries)


def _read_bytes(data: Path, name: str) -> bytes:
    try:
        return (data / name).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{data} has no {name}: {_expected(data, name)}") from None
    except OSError as error:
        raise UserError(f"cannot read {data / name}: {commands.reason(error)}") from error


def _expected(data: Path, name: str) -> str:
    """The end of a message about `data` that is no data directory: what is expected, and where it may be."""
    packed = [file for file in (data, data / f"{name}.zip") if file.suffix == ".zip" and file.is_file()]
    found = f" (unpack {packed[0]})" if packed else commands.nearby(data, lambda path: (path / name).is_file())
    return f"expected a data directory in the Kaggle layout{found}"


def _entries(file: Path, content: bytes) -> Iterator[tuple[Entry, int]]:
    """Yields the rows, at least one, with the numbers of their lines."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text ({error}): save it as UTF-8") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    some = False
    try:
        _check_columns(file, list(reader.fieldnames or ()))
        for values in reader:
            where = f"{file}, line {reader.line_num}"
            if None in values or None in values.values():
                expected = len(reader.fieldnames or ())
                raise UserError(f"{where}: expected {expected} fields, as in the header: is the file whole?")
            some = True
            yield (
                Entry(
                    _path(values["path"], where),
                    _id(values["sequence_id"], "sequence_id", where),
                    _id(values["participant_id"], "participant_id", where),
                    values["phrase"],
                    file.stem,
                ),
                reader.line_num,
            )
    except csv.Error as error:
        raise UserError(f"{file}, line {reader.line_num}: {error}") from error
    if not some:
        raise UserError(f"{file} lists no sequences: is the file whole?")


def _check_columns(file: Path, found: list[str]) -> None:
    missing = [column for column in _COLUMNS if column not in found]
    if "phrase" in missing and "sign" in found:
        raise UserError(
            f"{file} is of the isolated-sign set (asl-signs), it has the column sign and no phrase: expected"
            " fingerspelling data"
        )
    if missing:
        header = ", ".join(found)
        raise UserError(
            f"{file} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}: expected"
            f" {', '.join(_COLUMNS)}, separated by commas; found {header[:80] or 'nothing'}"
        )


def _path(text: str, where: str) -> str:
    """The normalised relative path. Lexical: links inside the data directory are its owner's."""
    path = posixpath.normpath(text)
    if not text or path == "." or path == ".." or path.startswith(("/", "../")) or "\\" in path or "\0" in path:
        raise UserError(f"{where}: path {text!r} is not a file inside the data directory, such as a/1.parquet")
    return path


def _id(text: str, column: str, where: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or not -(1 << 63) <= int(text) < 1 << 63:
        raise UserError(f"{where}: {column} {text!r} is not an integer of 64 bits: mend that line")
    return int(text)


def _check_characters(file: Path) -> None:
    if not file.exists():
        return
    try:
        characters = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file} ({commands.reason(error)}): download it again, or delete it") from error
    if characters != vocabulary.CHARACTER_TO_INDEX:
        raise UserError(
            f"{file} is not the vocabulary of this program ({vocabulary.NUM_CHARACTERS} characters, the competition's):"
            " its indices would mean other characters; take the competition's, or delete it"
        )
