"""Wide Kaggle parquet files to landmark arrays, streaming.

A file has one row per video frame, a column `sequence_id` and the columns of `landmarks.COLUMNS` among others that are
never decoded. The rows of one sequence are adjacent, in order of time.
"""

import collections
import pathlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import commands
from pipeline import landmarks as lm
from pipeline.commands import UserError

SEQUENCE_ID = "sequence_id"
# Rows decoded at a time: 201 columns x 4 bytes x 4096 rows is about 3 MiB, whatever the size of the row groups.
_BATCH_ROWS = 4096


def read_runs(path: pathlib.Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (sequence_id, landmarks (T, 100, 2) float32) for each run of rows with the same id, in the file's order.

    Null and NaN are NaN; infinite values stay. A run that straddles batches or row groups is one run. An id that comes
    back later in the file is yielded again: the caller decides.

    Raises:
      UserError: the file cannot be read, or a column is missing, duplicated or of the wrong type.
    """
    pending: list[np.ndarray] = []
    pending_id = 0
    for ids, landmarks_RxPx2 in _batches(path):
        starts = np.flatnonzero(np.diff(ids)) + 1
        for sequence_id, rows in zip(ids[np.r_[0, starts]].tolist(), np.split(landmarks_RxPx2, starts), strict=True):
            if pending and sequence_id != pending_id:
                yield pending_id, np.concatenate(pending)
                pending = []
            pending.append(rows)
            pending_id = sequence_id
    if pending:
        yield pending_id, np.concatenate(pending)


def _batches(path: pathlib.Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (ids (R,) int64, landmarks (R, 100, 2) float32), R >= 1."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_schema(path, file.schema_arrow)
            for batch in file.iter_batches(_BATCH_ROWS, columns=[SEQUENCE_ID, *lm.COLUMNS]):
                if batch.num_rows:
                    yield _ids(path, batch.column(SEQUENCE_ID)), _landmarks(batch)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None):
            raise UserError(f"cannot read {path}: {commands.reason(error)}") from error
        said = commands.reason(error).rstrip(".")
        raise UserError(f"cannot read {path} as parquet ({said}): half-downloaded? Download it again") from error


def _ids(path: pathlib.Path, column: pa.Array) -> np.ndarray:
    if column.null_count:
        raise UserError(f"{path}: column {SEQUENCE_ID} has rows without a value")
    return column.to_numpy(zero_copy_only=False).astype(np.int64)


def _landmarks(batch: pa.RecordBatch) -> np.ndarray:
    columns_CxR = np.empty((len(lm.COLUMNS), batch.num_rows), np.float32)
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is counted later
        for row, name in zip(columns_CxR, lm.COLUMNS, strict=True):
            row[:] = batch.column(name).to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(columns_CxR.reshape(2, lm.NUM_POINTS, -1).transpose(2, 1, 0))


def _check_schema(path: pathlib.Path, schema: pa.Schema) -> None:
    occurrences = collections.Counter(schema.names)
    needed = (SEQUENCE_ID, *lm.COLUMNS)
    if occurrences["landmark_index"]:
        raise UserError(
            f"{path} is of the isolated-sign set (asl-signs), a row a landmark: expected fingerspelling, a row a frame"
        )
    _refuse(path, "lacks", [name for name in needed if not occurrences[name]])
    _refuse(path, "has more than once", [name for name in needed if occurrences[name] > 1])
    if not pa.types.is_integer(schema.field(SEQUENCE_ID).type):
        raise UserError(f"{path}: column {SEQUENCE_ID} is {schema.field(SEQUENCE_ID).type}, expected integers")
    wrong = [f"{name} ({schema.field(name).type})" for name in lm.COLUMNS if not _is_number(schema.field(name).type)]
    _refuse(path, "holds no numbers in", wrong)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def _refuse(path: pathlib.Path, what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        plural = "s" if len(names) > 1 else ""
        raise UserError(f"{path} {what} the column{plural} {', '.join(names[:3])}{more}: expected the Kaggle layout")
