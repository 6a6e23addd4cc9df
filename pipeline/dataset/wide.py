"""Wide parquet files to landmark arrays, streaming.

A file has one row per video frame, a column of clip ids (or an index of pandas) and the columns of the task's layout
among others that are never decoded. The rows of one clip are adjacent, in order of time.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import parquet
from pipeline.tasks.faults import DUPLICATE, OUT_OF_ORDER, Fault
from pipeline.tasks.task import Task, WideParquet

# The name under which pandas stores an index without a name.
_UNNAMED_INDEX = "__index_level_0__"
# Rows decoded at a time: 201 columns x 4 bytes x 4096 rows is about 3 MiB, whatever the size of the row groups.
_BATCH_ROWS = 4096


def read_clips(path: AnyPath, task: Task, ids: Sequence[int] = ()) -> Iterator[tuple[int, np.ndarray | Fault]]:
    """Yields each clip id of a file once, with its landmarks (T, P, D) float32 or what is wrong with its rows.

    Wrong are rows that are not adjacent (`DUPLICATE`: which of them belong together cannot be known) and, where there
    is a column of frame numbers, numbers that do not rise: `DUPLICATE` where they start again, otherwise
    `OUT_OF_ORDER`. Of these two columns the whole file's are in memory, 16 bytes a row. The file says which clips it
    has: `ids` are not asked.

    Raises:
      UserError: as `read_runs`.
    """
    del ids
    with _opened(path, task) as recording:
        faults = recording.faults()
        yield from faults.items()
        for sequence_id, landmarks in recording.runs():
            if sequence_id not in faults:
                yield sequence_id, landmarks


def read_runs(path: AnyPath, task: Task, columns: Sequence[str] = ()) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (sequence_id, landmarks (T, P, D) float32) for each run of rows with the same id, in the file's order.

    With `columns` their values (T, K) instead.

    Null and NaN are NaN; infinite values stay. A run that straddles batches or row groups is one run. An id that comes
    back later in the file is yielded again: the caller decides.

    Raises:
      UserError: the file cannot be read, or a column is missing, duplicated or of the wrong type.
    """
    with _opened(path, task, columns) as recording:
        yield from recording.runs()


def read_inputs(path: AnyPath, task: Task, columns: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
    """As `read_runs`, with the values (T, K) of other columns."""
    return read_runs(path, task, columns)


def count_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, int]:
    """Rows of each id in a file. Raises `UserError` as `read_runs`."""
    del ids
    with _opened(path, task) as recording:
        different, counts = np.unique(recording.ids_and_frames()[0], return_counts=True)
    return dict(zip(different.tolist(), counts.tolist(), strict=True))


def id_column(schema: pa.Schema, layout: WideParquet) -> str:
    """The column that holds the clip ids: that of the layout, or the index that pandas stores without a name."""
    return _UNNAMED_INDEX if _UNNAMED_INDEX in schema.names and layout.id not in schema.names else layout.id


@contextlib.contextmanager
def _opened(path: AnyPath, task: Task, columns: Sequence[str] = ()) -> Iterator["_Recording"]:
    assert isinstance(task.layout, WideParquet)
    shape = (len(columns),) if columns else task.points.shape
    layout = dataclasses.replace(task.layout, values=tuple(columns)) if columns else task.layout
    with parquet.opened(path) as file:
        schema = file.schema_arrow
        ids = id_column(schema, layout)
        frame = layout.frame if layout.frame in schema.names else None
        values = dict.fromkeys(layout.values, "number")
        parquet.check_columns(path, schema, {ids: "integer"} | values, optional={layout.frame: "number"})
        yield _Recording(path, layout, shape, file, ids, frame)


@dataclasses.dataclass(frozen=True)
class _Recording:
    """An open file whose columns are as expected.

    Attributes:
      id_column: the column with the clip ids.
      frame_column: the one with the numbers of the frames, if there is one.
    """

    path: AnyPath
    layout: WideParquet
    shape: tuple[int, ...]
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
        """((R,) int64, (R,) float64); where there is no column of frame numbers, the numbers of the rows."""
        table = self.file.read(columns=[self.id_column, self.frame_column] if self.frame_column else [self.id_column])
        ids = self._ids(table.column(self.id_column))
        if self.frame_column is None:
            return ids, np.arange(len(ids), dtype=np.float64)
        return ids, table.column(self.frame_column).to_numpy().astype(np.float64)

    def runs(self) -> Iterator[tuple[int, np.ndarray]]:
        pending: list[np.ndarray] = []
        pending_id = 0
        for ids, landmarks_RxPxD in self._batches():
            starts = np.flatnonzero(np.diff(ids)) + 1
            runs = np.split(landmarks_RxPxD, starts)
            for sequence_id, rows in zip(ids[np.r_[0, starts]].tolist(), runs, strict=True):
                if pending and sequence_id != pending_id:
                    yield pending_id, np.concatenate(pending)
                    pending = []
                pending.append(rows)
                pending_id = sequence_id
        if pending:
            yield pending_id, np.concatenate(pending)

    def _batches(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields (ids (R,) int64, landmarks (R, P, D) float32), R >= 1."""
        needed = {self.id_column, *self.layout.values}
        # In the file's order, in which they are read: to and fro would cost more requests of a bucket.
        columns = [name for name in self.file.schema_arrow.names if name in needed]
        # Other cores have shards of their own.
        for batch in self.file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            if batch.num_rows:
                yield self._ids(batch.column(self.id_column)), self._landmarks(batch)

    def _ids(self, column: pa.Array | pa.ChunkedArray) -> np.ndarray:
        if column.null_count:
            raise UserError(f"{self.path}: column {self.layout.id} has rows without a value")
        return np.asarray(column).astype(np.int64)

    def _landmarks(self, batch: pa.RecordBatch) -> np.ndarray:
        columns = [column.to_numpy(zero_copy_only=False) for column in batch.select(self.layout.values).columns]
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is counted later
            columns_KxR = np.array(columns, np.float32)
        return np.ascontiguousarray(columns_KxR.T).reshape(-1, *self.shape)
