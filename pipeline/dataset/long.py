"""Long parquet files to landmark arrays: a file a clip, a row for each point of a frame."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.common.storage import AnyPath
from pipeline.dataset import parquet
from pipeline.tasks.faults import DUPLICATE, NO_LANDMARKS, NOT_WHOLE_FRAMES, WRONG_POINTS, Fault
from pipeline.tasks.task import LongParquet, Task


def read_clips(path: AnyPath, task: Task, ids: Sequence[int]) -> Iterator[tuple[int, np.ndarray | Fault]]:
    """Yields the clip of a file with its landmarks (T, P, D) float32, or what is wrong with them.

    Frames are in the order of their numbers, which may begin anywhere; rows may be in any order.

    Args:
      ids: of the clips that the metadata has in the file: one.

    Raises:
      UserError: the file cannot be read, or a column is missing, there twice or of the wrong type.
    """
    if len(ids) > 1:
        fault = Fault(DUPLICATE, f"the metadata has {len(ids)} clips in its file, which holds one")
        yield from ((sequence_id, fault) for sequence_id in ids)
        return
    found = _frames(path, task.layout)
    yield ids[0], found if isinstance(found, Fault) else _points(found, task)


def read_runs(path: AnyPath, task: Task) -> Iterator[tuple[int | str, np.ndarray]]:
    """Yields the clip of a file, named after it, with its landmarks. Raises `UserError` where it cannot be used."""
    for name, frames in read_inputs(path, task, ()):
        yield name, _points(frames, task)


def read_inputs(path: AnyPath, task: Task, columns: Sequence[str]) -> Iterator[tuple[int | str, np.ndarray]]:
    """Yields the clip of a file, named after it, with all points of all frames (T, rows, values) float32."""
    del columns  # there are none to choose: every row of a frame is taken
    found = _frames(path, task.layout)
    if isinstance(found, Fault):
        raise parquet.unusable(path, found)
    yield int(path.stem) if path.stem.isdecimal() else path.stem, found


def count_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, int]:
    """Frames of each clip of a file."""
    assert isinstance(task.layout, LongParquet)
    with parquet.opened(path) as file:
        return dict.fromkeys(ids, file.metadata.num_rows // len(task.layout.rows))


def _frames(path: AnyPath, layout: object) -> np.ndarray | Fault:
    """(T, rows of a frame, values) float32, NaN for missing."""
    assert isinstance(layout, LongParquet)
    keys = {layout.frame: "number", layout.part: "text", layout.index: "number"}
    with parquet.opened(path) as file:
        parquet.check_columns(path, file.schema_arrow, keys | dict.fromkeys(layout.values, "number"))
        table = _read(file, [*keys, *layout.values])
    size = len(layout.rows)
    if not len(table):
        return Fault(NO_LANDMARKS, "its file has no rows")
    if len(table) % size:
        return Fault(NOT_WHOLE_FRAMES, f"its file has {len(table)} rows, expected a multiple of {size}")
    places = _places(table, layout)
    if isinstance(places, Fault):
        return places
    numbers = table[layout.frame].to_numpy().astype(np.float64)
    if not np.isfinite(numbers).all():
        return Fault(NOT_WHOLE_FRAMES, "a row has no frame number")
    order = np.arange(len(places))
    if (places != np.tile(np.arange(size), len(places) // size)).any() or (np.diff(numbers) < 0).any():
        order = np.lexsort((places, numbers))
    places_TxN, numbers_TxN = places[order].reshape(-1, size), numbers[order].reshape(-1, size)
    wrong_T = (places_TxN != np.arange(size)).any(axis=1) | (numbers_TxN != numbers_TxN[:, :1]).any(axis=1)
    wrong_T[1:] |= numbers_TxN[1:, 0] <= numbers_TxN[:-1, 0]
    if wrong_T.any():
        number = numbers_TxN[int(np.argmax(wrong_T)), 0]
        return Fault(WRONG_POINTS, f"frame {number:g} does not have each of its {size} points once")
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is counted later
        values = [table[name].to_numpy().astype(np.float32) for name in layout.values]
    return np.stack(values, axis=-1)[order].reshape(-1, size, len(values))


def _read(file: pq.ParquetFile, columns: list[str]) -> pa.Table:
    return file.read(columns=columns, use_threads=False)  # other cores have files of their own


def _places(table: pa.Table, layout: LongParquet) -> np.ndarray | Fault:
    """The place of each row in a frame."""
    parts = pc.index_in(table[layout.part], value_set=pa.array(list(layout.parts)))
    if parts.null_count:
        row = int(np.argmax(np.asarray(parts.is_null())))
        return Fault(WRONG_POINTS, f"row {row} is of the type {table[layout.part][row].as_py()!r}")
    counts = np.array(list(layout.parts.values()))
    part_of, index = np.asarray(parts), table[layout.index].to_numpy()
    outside = ~((index >= 0) & (index < counts[part_of]) & (index == np.floor(index)))
    if outside.any():
        row = int(np.argmax(outside))
        part = list(layout.parts)[part_of[row]]
        return Fault(WRONG_POINTS, f"row {row}: there is no point {index[row]:g} of {part}")
    return (np.cumsum(counts) - counts)[part_of] + index.astype(np.intp)


def _points(frames_TxNxV: np.ndarray, task: Task) -> np.ndarray:
    """(T, P, D) the points and axes that the task sees."""
    assert isinstance(task.layout, LongParquet)
    rows, axes = task.layout.rows, [task.layout.values.index(axis) for axis in task.points.axes]
    places = [rows.index(name) for name in task.points.names]
    return np.ascontiguousarray(frames_TxNxV[:, places][:, :, axes])
