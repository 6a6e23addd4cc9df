"""Wide Kaggle parquet files to landmark arrays, streaming.

A file has one row per video frame, a column `sequence_id` (or an index of pandas) and the columns of
`landmarks.COLUMNS` among others that are never decoded. The rows of one sequence are adjacent, in order of time.
"""

import collections
import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import commands
from pipeline import landmarks as lm
from pipeline.commands import UserError
from pipeline.storage import Path

SEQUENCE_ID = "sequence_id"
# The name under which pandas stores an index without a name.
_UNNAMED_INDEX = "__index_level_0__"
FRAME = "frame"
_POINT_BY_POINT = [f"{axis}_{name}" for name in lm.POINT_NAMES for axis in "xy"]
# Rows decoded at a time: 201 columns x 4 bytes x 4096 rows is about 3 MiB, whatever the size of the row groups.
_BATCH_ROWS = 4096

DUPLICATE = "duplicate_sequence"
OUT_OF_ORDER = "frames_out_of_order"


@dataclasses.dataclass(frozen=True)
class Fault:
    """Why the rows of a sequence cannot be used."""

    reason: str
    detail: str


def read_sequences(path: Path) -> Iterator[tuple[int, np.ndarray | Fault]]:
    """Yields each sequence id of a file once, with its landmarks (T, 100, 2) float32 or what is wrong with its rows.

    Wrong are rows that are not adjacent (`DUPLICATE`: which of them belong together cannot be known) and, where there
    is a column `frame`, numbers that do not rise: `DUPLICATE` where they start again, otherwise `OUT_OF_ORDER`. Of
    these two columns the whole file's are in memory, 16 bytes a row.

    Raises:
      UserError: as `read_runs`.
    """
    with _opened(path) as recording:
        faults = recording.faults()
        yield from faults.items()
        for sequence_id, landmarks in recording.runs():
            if sequence_id not in faults:
                yield sequence_id, landmarks


def read_runs(path: Path) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (sequence_id, landmarks (T, 100, 2) float32) for each run of rows with the same id, in the file's order.

    Null and NaN are NaN; infinite values stay. A run that straddles batches or row groups is one run. An id that comes
    back later in the file is yielded again: the caller decides.

    Raises:
      UserError: the file cannot be read, or a column is missing, duplicated or of the wrong type.
    """
    with _opened(path) as recording:
        yield from recording.runs()


def read_ids(path: Path) -> np.ndarray:
    """(R,) int64, the sequence id of each row. Raises `UserError` as `read_runs`."""
    with _opened(path) as recording:
        ids, _ = recording.ids_and_frames()
    return ids


def id_column(schema: pa.Schema) -> str:
    """The column that holds the sequence ids: `sequence_id`, or the index that pandas stores without a name."""
    return _UNNAMED_INDEX if _UNNAMED_INDEX in schema.names and SEQUENCE_ID not in schema.names else SEQUENCE_ID


def open_file(path: Path) -> pq.ParquetFile:
    """A file on this machine, or one in a bucket, of which come only the bytes near the columns that are read."""
    source = path if isinstance(path, pathlib.Path) else path.open("rb")
    # pyarrow's way to read ahead keeps what it read until the file is closed.
    return pq.ParquetFile(source, page_checksum_verification=True, pre_buffer=False)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator["_Recording"]:
    try:
        with open_file(path) as file:
            yield _Recording(path, file, *_check_schema(path, file.schema_arrow))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if getattr(error, "errno", None):
            raise UserError(f"cannot read {path}: {commands.reason(error)}") from error
        said = commands.reason(error).rstrip(".")
        raise UserError(f"cannot read {path} as parquet ({said}): half-downloaded? Download it again") from error


@dataclasses.dataclass(frozen=True)
class _Recording:
    """An open file whose columns are as expected.

    Attributes:
      id_column: the column with the sequence ids.
      frame_column: the one with the numbers of the frames, if there is one.
    """

    path: Path
    file: pq.ParquetFile
    id_column: str
    frame_column: str | None

    def faults(self) -> dict[int, Fault]:
        ids, frames = self.ids_and_frames()
        starts = np.flatnonzero(np.diff(ids, prepend=~ids[:1]))  # ~: any other id, so that the first row starts a run
        different, places = np.unique(ids[starts], return_counts=True)
        faults = {
            sequence_id: Fault(DUPLICATE, f"its rows are in {count} places of the file")
            for sequence_id, count in zip(different[places > 1].tolist(), places[places > 1].tolist(), strict=True)
        }
        rises = np.diff(frames, prepend=-np.inf) > 0  # not where a number is missing
        rises[starts] = True
        for row in np.flatnonzero(~rises).tolist():
            first = frames[starts[np.searchsorted(starts, row, "right") - 1]]
            reason = DUPLICATE if frames[row] == first else OUT_OF_ORDER
            found = faults.get(int(ids[row]))
            if found is None or (found.reason, reason) == (OUT_OF_ORDER, DUPLICATE):
                faults[int(ids[row])] = Fault(reason, f"frame {frames[row]:g} follows frame {frames[row - 1]:g}")
        return faults

    def ids_and_frames(self) -> tuple[np.ndarray, np.ndarray]:
        """((R,) int64, (R,) float64); where there is no column `frame`, the numbers of the rows."""
        table = self.file.read(columns=[self.id_column, self.frame_column] if self.frame_column else [self.id_column])
        ids = self._ids(table.column(self.id_column))
        if self.frame_column is None:
            return ids, np.arange(len(ids), dtype=np.float64)
        return ids, table.column(self.frame_column).to_numpy().astype(np.float64)

    def runs(self) -> Iterator[tuple[int, np.ndarray]]:
        pending: list[np.ndarray] = []
        pending_id = 0
        for ids, landmarks_RxPx2 in self._batches():
            starts = np.flatnonzero(np.diff(ids)) + 1
            runs = np.split(landmarks_RxPx2, starts)
            for sequence_id, rows in zip(ids[np.r_[0, starts]].tolist(), runs, strict=True):
                if pending and sequence_id != pending_id:
                    yield pending_id, np.concatenate(pending)
                    pending = []
                pending.append(rows)
                pending_id = sequence_id
        if pending:
            yield pending_id, np.concatenate(pending)

    def _batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (ids (R,) int64, landmarks (R, 100, 2) float32), R >= 1."""
        columns = [self.id_column, *lm.COLUMNS]
        # Other cores have shards of their own.
        for batch in self.file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            if batch.num_rows:
                yield self._ids(batch.column(self.id_column)), _landmarks(batch)

    def _ids(self, column: pa.Array | pa.ChunkedArray) -> np.ndarray:
        if column.null_count:
            raise UserError(f"{self.path}: column {SEQUENCE_ID} has rows without a value")
        return np.asarray(column).astype(np.int64)


def _landmarks(batch: pa.RecordBatch) -> np.ndarray:
    columns = [column.to_numpy(zero_copy_only=False) for column in batch.select(_POINT_BY_POINT).columns]
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is counted later
        columns_200xR = np.array(columns, np.float32)
    return np.ascontiguousarray(columns_200xR.T).reshape(-1, lm.NUM_POINTS, 2)


def _check_schema(path: Path, schema: pa.Schema) -> tuple[str, str | None]:
    """The columns with the sequence ids and with the frames' numbers."""
    occurrences = collections.Counter(schema.names)
    ids = id_column(schema)
    needed = (ids, *lm.COLUMNS)
    if occurrences["landmark_index"]:
        raise UserError(
            f"{path} is of the isolated-sign set (asl-signs), a row a landmark: expected fingerspelling, a row a frame"
        )
    _refuse(path, "lacks", [name for name in needed if not occurrences[name]])
    _refuse(path, "has more than once", [name for name in (*needed, FRAME) if occurrences[name] > 1])
    kinds = {field.name: field.type for field in schema}
    if not pa.types.is_integer(kinds[ids]):
        raise UserError(f"{path}: column {ids} is {kinds[ids]}, expected integers")
    wrong = [
        f"{name} ({kinds[name]})" for name in (*lm.COLUMNS, FRAME) if name in kinds and not _is_number(kinds[name])
    ]
    _refuse(path, "holds no numbers in", wrong)
    return ids, FRAME if occurrences[FRAME] else None


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def _refuse(path: Path, what: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        plural = "s" if len(names) > 1 else ""
        raise UserError(f"{path} {what} the column{plural} {', '.join(names[:3])}{more}: expected the Kaggle layout")
