"""The metadata of a Kaggle data directory: which sequence is in which parquet file, by whom, and its phrase."""

import csv
import dataclasses
import hashlib
import io
import json
import pathlib
import posixpath
import re

from pipeline import commands, vocabulary
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
        raise UserError(f"{data}: {commands.what_is_there(data)}; {_expected(data, name)}")
    file = data / name
    try:
        content = file.read_bytes()
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{data} has no {name}: {_expected(data, name)}") from None
    except OSError as error:
        raise UserError(f"cannot read {file}: {commands.reason(error)}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text ({error}): save it as UTF-8") from error
    _check_characters(data / CHARACTER_MAP)
    return Metadata(file.stem, hashlib.sha256(content).hexdigest(), _entries(file, text))


def _expected(data: pathlib.Path, name: str) -> str:
    """The end of a message about `data` that is no data directory: what is expected, and where it may be."""
    packed = [file for file in (data, data / f"{name}.zip") if file.suffix == ".zip" and file.is_file()]
    found = f" (unpack {packed[0]})" if packed else commands.nearby(data, lambda path: (path / name).is_file())
    return f"expected a data directory in the Kaggle layout{found}"


def _entries(file: pathlib.Path, text: str) -> dict[int, Entry]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    entries: dict[int, Entry] = {}
    lines: dict[int, int] = {}
    try:
        _check_columns(file, list(reader.fieldnames or ()))
        for values in reader:
            where = f"{file}, line {reader.line_num}"
            if None in values or None in values.values():
                expected = len(reader.fieldnames or ())
                raise UserError(f"{where}: expected {expected} fields, as in the header: is the file whole?")
            entry = Entry(
                _path(values["path"], where),
                _id(values["sequence_id"], "sequence_id", where),
                _id(values["participant_id"], "participant_id", where),
                values["phrase"],
            )
            if entry.sequence_id in entries:
                raise UserError(
                    f"{where}: sequence {entry.sequence_id} is also on line {lines[entry.sequence_id]}: delete one"
                )
            entries[entry.sequence_id] = entry
            lines[entry.sequence_id] = reader.line_num
    except csv.Error as error:
        raise UserError(f"{file}, line {reader.line_num}: {error}") from error
    if not entries:
        raise UserError(f"{file} lists no sequences: is the file whole?")
    return entries


def _check_columns(file: pathlib.Path, found: list[str]) -> None:
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


def _check_characters(file: pathlib.Path) -> None:
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
