"""The metadata of a Kaggle data directory: which sequence is in which parquet file, by whom, and its phrase."""

import csv
import dataclasses
import hashlib
import io
import json
import pathlib
import posixpath
import re

from pipeline import vocabulary
from pipeline.commands import UserError

FILE_NAME = "train.csv"
CHARACTER_MAP = "character_to_prediction_index.json"
_COLUMNS = ("path", "sequence_id", "participant_id", "phrase")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row: a sequence, the parquet file that holds it (relative to the data directory), its signer and label."""

    path: str
    sequence_id: int
    participant_id: int
    label: str


@dataclasses.dataclass(frozen=True)
class Metadata:
    """Attributes:
    source: the metadata file's name without its ending.
    sha256: of the metadata file's bytes.
    entries: by sequence id, in the order of the rows.
    """

    source: str
    sha256: str
    entries: dict[int, Entry]

    @property
    def paths(self) -> list[str]:
        """The parquet files named, sorted."""
        return sorted({entry.path for entry in self.entries.values()})

    @property
    def participants(self) -> list[int]:
        return sorted({entry.participant_id for entry in self.entries.values()})


def read(data: pathlib.Path, name: str = FILE_NAME) -> Metadata:
    """Reads `data/name` and checks the character map beside it, if there is one.

    Raises:
      UserError: no such file; a column is missing; a bad id; a sequence listed twice; a path that leaves `data`; no
        rows; a character map that is not this project's vocabulary.
    """
    if not data.is_dir():
        raise UserError(f"{data}: no such directory (expected Kaggle data with {name} in it)")
    file = data / name
    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{data} has no {name}: expected a data directory in the Kaggle layout") from None
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text: {error}") from error
    _check_characters(data / CHARACTER_MAP)
    return Metadata(file.stem, hashlib.sha256(content).hexdigest(), _entries(file, text))


def _entries(file: pathlib.Path, text: str) -> dict[int, Entry]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    entries: dict[int, Entry] = {}
    lines: dict[int, int] = {}
    try:
        missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise UserError(f"{file} lacks the column {', '.join(missing)}: expected {', '.join(_COLUMNS)}")
        for values in reader:
            where = f"{file}, line {reader.line_num}"
            if None in values or None in values.values():
                raise UserError(f"{where}: expected {len(reader.fieldnames or ())} fields, as in the header")
            entry = Entry(
                _path(values["path"], where),
                _id(values["sequence_id"], "sequence_id", where),
                _id(values["participant_id"], "participant_id", where),
                values["phrase"],
            )
            if entry.sequence_id in entries:
                raise UserError(f"{where}: sequence {entry.sequence_id} is also on line {lines[entry.sequence_id]}")
            entries[entry.sequence_id] = entry
            lines[entry.sequence_id] = reader.line_num
    except csv.Error as error:
        raise UserError(f"{file}, line {reader.line_num}: {error}") from error
    if not entries:
        raise UserError(f"{file} lists no sequences")
    return entries


def _path(text: str, where: str) -> str:
    """The normalised relative path. Lexical: links inside the data directory are its owner's."""
    path = posixpath.normpath(text)
    if not text or path == "." or path == ".." or path.startswith(("/", "../")) or "\\" in path or "\0" in path:
        raise UserError(f"{where}: path {text!r} is not a file inside the data directory")
    return path


def _id(text: str, column: str, where: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,19}", text) or not -(1 << 63) <= int(text) < 1 << 63:
        raise UserError(f"{where}: {column} {text!r} is not an integer of 64 bits")
    return int(text)


def _check_characters(file: pathlib.Path) -> None:
    if not file.exists():
        return
    try:
        characters = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {file}: {error}") from error
    if characters != vocabulary.CHARACTER_TO_INDEX:
        raise UserError(
            f"{file} is not the vocabulary of this program ({vocabulary.NUM_CHARACTERS} characters, the competition's):"
            " its indices would mean other characters"
        )
