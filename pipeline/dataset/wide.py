"""Wide parquet files to landmark arrays, streaming.

A file has one row per video frame, a column of clip ids (or an index of pandas) and the columns of the task's layout
among others that are never decoded. The rows of one clip are adjacent, in order of time. A column of Arrow's type null
is one whose values are all missing. `read_takes` is forgiving, all else is strict.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset import parquet, takes
from pipeline.dataset.takes import Take
from pipeline.tasks.faults import DUPLICATE, OUT_OF_ORDER, REPEATED_FRAMES, Fault
from pipeline.tasks.task import Layout, Points, Task, WideParquet

# The name under which pandas stores an index without a name.
_UNNAMED_INDEX = "__index_level_0__"
# Rows decoded at a time: 201 columns x 4 bytes x 4096 rows is about 3 MiB, whatever the size of the row groups.
_BATCH_ROWS = 4096


def read_clips(path: AnyPath, task: Task, ids: Sequence[int] = ()) -> Iterator[tuple[int, np.ndarray | Fault]]:
    """Yields each clip id of a file once, with its landmarks (T, P, D) float32 or what is wrong with its rows.

    Wrong are rows that are not adjacent (`DUPLICATE`: which of them belong together cannot be known) and, where there
    is a column of frame numbers, numbers that do not rise: `DUPLICATE` where they start again, `REPEATED_FRAMES` where
    one follows itself, otherwise `OUT_OF_ORDER`. Of these two columns the whole file's are in memory, 16 bytes a row.
    The file says which clips it has: `ids` are not asked.

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
      UserError: the file cannot be read; a column is missing, duplicated or of the wrong type; an id is missing or has
        more than 64 bits.
    """
    with _opened(path, task, columns) as recording:
        yield from recording.runs()


def read_takes(path: AnyPath, points: Points, layout: Layout) -> Iterator[Take]:
    """Yields what there is to recognize in a file, one recording at a time, in the file's order.

    Groups of points without columns are missing. Ids may also be texts or whole numbers of a floating type; a file
    without ids is one clip, also where an index of pandas only numbers its rows. `takes.split` says what becomes of
    frame numbers that do not rise. Of ids and frame numbers the whole file's are in memory.

    Raises:
      UserError: as `read_runs`; no group of points has columns, or some of one's columns are missing.
    """
    assert isinstance(layout, WideParquet)
    with _opened_any(path, points, layout) as recording:
        _, numbers_R = recording.ids_and_frames()
        count: collections.Counter[int | str] = collections.Counter()
        row = 0
        for sequence_id, landmarks in recording.runs():
            found, remarks = takes.split(numbers_R[row : row + len(landmarks)])
            row += len(landmarks)
            name = takes.name_of(path) if recording.id_column is None else sequence_id
            scattered = (takes.SCATTERED,) if name in count else ()
            for rows in found:
                count[name] += 1
                yield Take(name, landmarks[rows] if remarks else landmarks, count[name], (*remarks, *scattered))


def is_layout(names: Sequence[str], layout: Layout) -> bool:
    """Whether a file with these columns is laid out like this."""
    return isinstance(layout, WideParquet) and not set(layout.values).isdisjoint(names)


def read_inputs(path: AnyPath, task: Task, columns: Sequence[str]) -> Iterator[tuple[int, np.ndarray]]:
    """As `read_runs`, with the values (T, K) of other columns."""
    return read_runs(path, task, columns)


def count_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, int]:
    """Rows of each id in a file. Raises `UserError` as `read_runs`."""
    del ids
    with _opened(path, task) as recording:
        different, counts = np.unique(recording.ids_and_frames()[0], return_counts=True)
    return dict(zip(different.tolist(), counts.tolist(), strict=True))


def last_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, float]:
    """The largest frame number of each id in a file; none where it has no such numbers. Raises as `read_runs`."""
    del ids
    with _opened(path, task) as recording:
        clip_R, numbers_R = recording.ids_and_frames()
        if recording.frame_column is None:
            return {}
    different, index = np.unique(clip_R, return_inverse=True)
    largest = np.full(len(different), -np.inf)
    np.fmax.at(largest, index, numbers_R)
    return dict(zip(different.tolist(), largest.tolist(), strict=True))


def id_column(schema: pa.Schema, layout: WideParquet) -> str:
    """The column that holds the clip ids: that of the layout, or the index that pandas stores without a name."""
    return _UNNAMED_INDEX if _UNNAMED_INDEX in schema.names and layout.id not in schema.names else layout.id


@contextlib.contextmanager
def _opened(path: AnyPath, task: Task, columns: Sequence[str] = ()) -> Iterator["_Recording"]:
    """Every column has to be there."""
    assert isinstance(task.layout, WideParquet)
    shape = (len(columns),) if columns else task.points.shape
    layout = dataclasses.replace(task.layout, values=tuple(columns)) if columns else task.layout
    with parquet.opened(path) as file:
        schema = file.schema_arrow
        ids = id_column(schema, layout)
        _check(path, schema, {ids: "integer"} | dict.fromkeys(layout.values, "number"), layout)
        if _only_numbers_rows(file, ids):
            raise UserError(
                f"{path} lacks the column {layout.id}, and its index only numbers the rows: which of them are a clip"
                " is not known; add the column"
            )
        yield _recording(path, layout, shape, file, ids)


@contextlib.contextmanager
def _opened_any(path: AnyPath, points: Points, layout: WideParquet) -> Iterator["_Recording"]:
    """There have to be the columns of those groups of points of which there is one, and of a group at least."""
    with parquet.opened(path) as file:
        schema = file.schema_arrow
        needed = _of_groups_there(schema, points, layout)
        name = id_column(schema, layout)
        no_ids = name not in schema.names or pa.types.is_null(schema.field(name).type)
        ids = None if no_ids or _only_numbers_rows(file, name) else name
        _check(path, schema, dict.fromkeys(needed, "number") | ({} if ids is None else {ids: "id"}), layout)
        yield _recording(path, layout, points.shape, file, ids)


def _check(path: AnyPath, schema: pa.Schema, columns: Mapping[str, str], layout: WideParquet) -> None:
    parquet.check_columns(path, schema, columns, optional={layout.frame: "number"})


def _of_groups_there(schema: pa.Schema, points: Points, layout: WideParquet) -> list[str]:
    """The columns, but those of groups of points of which there is none; all where there is none of any group."""
    names, dimensions = set(schema.names), len(points.axes)
    columns = [layout.values[group.start * dimensions : group.stop * dimensions] for group in points.groups.values()]
    absent = {name for group in columns if names.isdisjoint(group) for name in group}
    return [name for name in layout.values if name not in absent] or list(layout.values)


def _only_numbers_rows(file: pq.ParquetFile, column: str) -> bool:
    """Whether a column is the index that pandas gives rows, of which some may be gone: no two adjacent ones agree."""
    if column != _UNNAMED_INDEX or file.metadata.num_rows < 2:
        return False
    values = file.read(columns=[column]).column(0).to_numpy()
    return bool((values[1:] != values[:-1]).all())


def _recording(
    path: AnyPath, layout: WideParquet, shape: tuple[int, ...], file: pq.ParquetFile, ids: str | None
) -> "_Recording":
    schema = file.schema_arrow
    names = set(schema.names)
    frame, *columns = (
        name if name in names and not pa.types.is_null(schema.field(name).type) else None
        for name in (layout.frame, *layout.values)
    )
    return _Recording(path, layout, shape, file, ids, frame, [name for name in columns if name])


@dataclasses.dataclass(frozen=True)
class _Recording:
    """An open file whose columns are as expected.

    Attributes:
      id_column: the column with the clip ids; None where all rows are of one clip.
      frame_column: the one with the numbers of the frames, if there is one.
      columns: those of the layout's coordinates that hold values.
    """

    path: AnyPath
    layout: WideParquet
    shape: tuple[int, ...]
    file: pq.ParquetFile
    id_column: str | None
    frame_column: str | None
    columns: list[str]

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
            step = frames[row] - frames[row - 1]
            reason = REPEATED_FRAMES if step == 0 else DUPLICATE if frames[row] == first else OUT_OF_ORDER
            found = faults.get(int(ids[row]))
            if found is None or (reason == DUPLICATE != found.reason):
                faults[int(ids[row])] = Fault(reason, f"frame {frames[row]:g} follows frame {frames[row - 1]:g}")
        return faults

    def ids_and_frames(self) -> tuple[np.ndarray, np.ndarray]:
        """((R,) ids, (R,) float64); where there is no column of frame numbers, the numbers of the rows."""
        table = self.file.read(columns=[name for name in (self.id_column, self.frame_column) if name])
        ids = self._ids(table, self.file.metadata.num_rows)
        if self.frame_column is None:
            return ids, np.arange(len(ids), dtype=np.float64)
        return ids, table.column(self.frame_column).to_numpy().astype(np.float64)

    def runs(self) -> Iterator[tuple[int, np.ndarray]]:
        pending: list[np.ndarray] = []
        pending_id = 0
        for ids, landmarks_RxPxD in self._batches():
            starts = np.flatnonzero(ids[1:] != ids[:-1]) + 1
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
        """Yields (ids (R,), landmarks (R, P, D) float32), R >= 1."""
        needed = {self.id_column, *self.columns}
        # In the file's order, in which they are read: to and fro would cost more requests of a bucket.
        columns = [name for name in self.file.schema_arrow.names if name in needed]
        # Other cores have shards of their own.
        for batch in self.file.iter_batches(_BATCH_ROWS, columns=columns, use_threads=False):
            if batch.num_rows:
                yield self._ids(batch, batch.num_rows), self._landmarks(batch)

    def _ids(self, table: pa.Table | pa.RecordBatch, num_rows: int) -> np.ndarray:
        """(R,) int64, or texts."""
        if self.id_column is None:
            return np.zeros(num_rows, np.int64)
        return parquet.ids(self.path, table, self.id_column)

    def _landmarks(self, batch: pa.RecordBatch) -> np.ndarray:
        arrays = [column.to_numpy(zero_copy_only=False) for column in batch.select(self.columns).columns]
        if len(arrays) < len(self.layout.values):
            found = dict(zip(self.columns, arrays, strict=True))
            missing = np.full(batch.num_rows, np.nan, np.float32)
            arrays = [found.get(name, missing) for name in self.layout.values]
        with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is counted later
            columns_KxR = np.array(arrays, np.float32)
        return np.ascontiguousarray(columns_KxR.T).reshape(-1, *self.shape)
