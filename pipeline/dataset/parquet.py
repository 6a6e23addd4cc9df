"""Parquet files of clips: which there are, how they are opened, and what is said where one cannot be used."""

import collections
import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common import errors, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.tasks.faults import Fault

ENDING = ".parquet"


def is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)


_KINDS = {
    "number": lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind),
    "integer": pa.types.is_integer,
    "text": is_text,
    "id": lambda kind: pa.types.is_integer(kind) or pa.types.is_floating(kind) or is_text(kind),
}


@contextlib.contextmanager
def opened(path: AnyPath) -> Iterator[pq.ParquetFile]:
    """A file on this machine, or one in a bucket, of which come only the bytes near the columns that are read.

    Raises:
      UserError: it cannot be opened, or read within the block.
    """
    try:
        storage.check_ends(path)
        # By the bytes of its name, which need not be text.
        source = pa.OSFile(os.fsencode(path)) if isinstance(path, pathlib.Path) else path.open("rb")
        # pyarrow's way to read ahead keeps what it read until the file is closed.
        with pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False) as file:
            yield file
    except (pa.ArrowException, MemoryError, OSError, UnicodeDecodeError) as error:
        if errors.means_no_memory(error):
            raise MemoryError(f"{path}: {errors.reason(error)}") from error
        if getattr(error, "errno", None):
            raise UserError(f"cannot read {path}: {errors.reason(error)}") from error
        said = errors.reason(error).rstrip(".")
        raise UserError(f"cannot read {path} as parquet ({said}): half-downloaded? Download it again") from error


def check_columns(
    path: AnyPath, schema: pa.Schema, columns: Mapping[str, str], optional: Mapping[str, str] | None = None
) -> None:
    """Raises `UserError` where a column is missing, there more than once, or not of its kind, such as "number"."""
    occurrences = collections.Counter(schema.names)
    _refuse(path, "lacks", [name for name in columns if not occurrences[name]])
    every = {**columns, **(optional or {})}
    _refuse(path, "has more than once", [name for name in every if occurrences[name] > 1])
    for kind, fits in _KINDS.items():
        names = [name for name in every if every[name] == kind and occurrences[name]]
        wrong = [f"{name} ({schema.field(name).type})" for name in names if not fits(schema.field(name).type)]
        _refuse(path, f"holds no {kind}s in", wrong)


def ids(path: AnyPath, table: pa.Table | pa.RecordBatch, column: str) -> np.ndarray:
    """(R,) the ids of the rows: int64, or texts.

    Raises:
      UserError: one is missing, or no integer of 64 bits.
    """
    values = table.column(column)
    if values.null_count:
        raise UserError(f"{path}: column {column} has rows without a value")
    if is_text(values.type):
        return np.asarray(values.cast(pa.string()), object)
    try:
        return np.asarray(values.cast(pa.int64()))
    except pa.ArrowInvalid as error:
        said = errors.reason(error)
        raise UserError(f"{path}: column {column} has an id that is not an integer of 64 bits ({said})") from error


def _refuse(path: AnyPath, what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        plural = "s" if len(names) > 1 else ""
        shown = ", ".join(names[:3])
        raise UserError(f"{path} {what} the column{plural} {shown}{more}: expected the task's columns")


def unusable(path: AnyPath, fault: Fault) -> UserError:
    return UserError(f"{path}: {fault.detail} ({fault.reason})")


def files_of(source: AnyPath, endings: Sequence[str] = (ENDING,)) -> list[AnyPath]:
    """The file, or those of the folder with one of these endings, in the order of their names.

    Raises:
      UserError: there is none.
    """
    if source.is_file():
        return [source]
    files = _of_folder(source, endings)
    if not files:
        kinds = " or ".join(ending.removeprefix(".") for ending in endings)
        what = f" holds no {kinds} file" if source.is_dir() else f": {errors.what_is_there(source)}"
        nearby = errors.suggest_path(
            source, lambda place: bool(_of_folder(place, endings)) or (place.suffix in endings and place.is_file())
        )
        raise UserError(f"{source}{what}; expected a {kinds} file, or a folder of them{nearby}")
    return files


def _of_folder(folder: AnyPath, endings: Sequence[str]) -> list[AnyPath]:
    return sorted(path for ending in endings for path in folder.glob(f"*{ending}")) if folder.is_dir() else []
