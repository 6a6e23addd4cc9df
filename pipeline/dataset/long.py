"""Long parquet files to landmark arrays: a file a clip, a row for each point of a frame.

`read_takes` is forgiving, all else is strict.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.common.storage import AnyPath
from pipeline.dataset import parquet, takes
from pipeline.dataset.takes import Take
from pipeline.tasks.faults import DUPLICATE, NO_LANDMARKS, NOT_WHOLE_FRAMES, WRONG_POINTS, Fault
from pipeline.tasks.task import Layout, LongParquet, Points, Task


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


def read_takes(path: AnyPath, points: Points, layout: Layout) -> Iterator[Take]:
    """Yields what there is to recognize in a file: one clip, or where it has ids as many as there are.

    Only the columns of the axes that are needed have to be there. Points without a row are missing; rows of points that
    are not needed are passed over. Where a frame has a point twice, a frame number less than that of the row before it
    begins another take.

    Raises:
      UserError: the file cannot be read, or a column is missing, there twice or of the wrong type; a row has no frame
        number; no row is of a known part; in one take, a frame has a point twice.
    """
    assert isinstance(layout, LongParquet)
    keys = {layout.frame: "number", layout.part: "text", layout.index: "number"} | dict.fromkeys(points.axes, "number")
    with parquet.opened(path) as file:
        schema = file.schema_arrow
        has_ids = layout.id in schema.names and not pa.types.is_null(schema.field(layout.id).type)
        keys |= {layout.id: "id"} if has_ids else {}
        parquet.check_columns(path, schema, keys)
        table = _read(file, list(keys))
    if not len(table):
        return
    places_R, numbers_R, values_RxD = _places(table, layout), _numbers(table, layout), _values(table, points.axes)
    if (places_R < 0).all():
        raise parquet.unusable(path, _no_place(table, layout, places_R))
    if not np.isfinite(numbers_R).all():
        raise parquet.unusable(path, _UNNUMBERED)
    ids_R = parquet.ids(path, table, layout.id) if has_ids else np.zeros(len(table), np.int64)
    different, first, clip_R = np.unique(ids_R, return_index=True, return_inverse=True)
    names = different.tolist() if has_ids else [takes.name_of(path)]
    points_of_rows = [points.names.index(name) if name in points.names else -1 for name in layout.rows]
    point_R = np.array([*points_of_rows, -1])[places_R]  # -1: not needed
    rows_of_clip = np.split(np.argsort(clip_R, kind="stable"), np.cumsum(np.bincount(clip_R))[:-1])
    for clip in np.argsort(first).tolist():
        rows = rows_of_clip[clip]
        found = _split(numbers_R[rows], point_R[rows])
        for number, of_take in enumerate(found, 1):
            numbers, point, values = numbers_R[rows[of_take]], point_R[rows[of_take]], values_RxD[rows[of_take]]
            if (twice := _frames_with_a_point_twice(numbers, point)).size:
                raise parquet.unusable(path, Fault(WRONG_POINTS, f"frame {twice[0]:g} has a point twice"))
            frames, frame = np.unique(numbers, return_inverse=True)
            landmarks = np.full((len(frames), *points.shape), np.nan, np.float32)
            landmarks[frame[point >= 0], point[point >= 0]] = values[point >= 0]
            yield Take(names[clip], landmarks, number, (takes.AGAIN,) if len(found) > 1 else ())


def _split(numbers_R: np.ndarray, point_R: np.ndarray) -> list[np.ndarray]:
    """The rows of each take of a clip."""
    if not _frames_with_a_point_twice(numbers_R, point_R).size:
        return [np.arange(len(numbers_R))]
    return np.split(np.arange(len(numbers_R)), np.flatnonzero(np.diff(numbers_R) < 0) + 1)


def _frames_with_a_point_twice(numbers_R: np.ndarray, point_R: np.ndarray) -> np.ndarray:
    """Their numbers; of points that are not needed, -1, nothing is asked."""
    numbers, point = numbers_R[point_R >= 0], point_R[point_R >= 0]
    order = np.lexsort((point, numbers))
    same = (np.diff(numbers[order]) == 0) & (np.diff(point[order]) == 0)
    return numbers[order][1:][same]


def is_layout(names: Sequence[str], layout: Layout) -> bool:
    """Whether a file with these columns is laid out like this."""
    return isinstance(layout, LongParquet) and {layout.part, layout.index} <= set(names)


def read_inputs(path: AnyPath, task: Task, columns: Sequence[str]) -> Iterator[tuple[int | str, np.ndarray]]:
    """Yields the clip of a file, named after it, with all points of all frames (T, rows, values) float32."""
    del columns  # there are none to choose: every row of a frame is taken
    found = _frames(path, task.layout)
    if isinstance(found, Fault):
        raise parquet.unusable(path, found)
    yield takes.name_of(path), found


def count_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, int]:
    """Frames of each clip of a file."""
    assert isinstance(task.layout, LongParquet)
    with parquet.opened(path) as file:
        return dict.fromkeys(ids, file.metadata.num_rows // len(task.layout.rows))


def last_frames(path: AnyPath, task: Task, ids: Sequence[int]) -> dict[int, float]:
    """The largest frame number of a file, of its clip; none where a file has no rows."""
    assert isinstance(task.layout, LongParquet)
    with parquet.opened(path) as file:
        parquet.check_columns(path, file.schema_arrow, {task.layout.frame: "number"})
        numbers = _numbers(_read(file, [task.layout.frame]), task.layout)
    return dict.fromkeys(ids, float(np.nanmax(numbers))) if np.isfinite(numbers).any() else {}


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
    places, numbers = _places(table, layout), _numbers(table, layout)
    if (places < 0).any():
        return _no_place(table, layout, places)
    if not np.isfinite(numbers).all():
        return _UNNUMBERED
    order = np.arange(len(places))
    if (places != np.tile(np.arange(size), len(places) // size)).any() or (np.diff(numbers) < 0).any():
        order = np.lexsort((places, numbers))
    places_TxN, numbers_TxN = places[order].reshape(-1, size), numbers[order].reshape(-1, size)
    wrong_T = (places_TxN != np.arange(size)).any(axis=1) | (numbers_TxN != numbers_TxN[:, :1]).any(axis=1)
    wrong_T[1:] |= numbers_TxN[1:, 0] <= numbers_TxN[:-1, 0]
    if wrong_T.any():
        number = numbers_TxN[int(np.argmax(wrong_T)), 0]
        return Fault(WRONG_POINTS, f"frame {number:g} does not have each of its {size} points once")
    return _values(table, layout.values)[order].reshape(-1, size, len(layout.values))


def _read(file: pq.ParquetFile, columns: list[str]) -> pa.Table:
    return file.read(columns=columns, use_threads=False)  # other cores have files of their own


_UNNUMBERED = Fault(NOT_WHOLE_FRAMES, "a row has no frame number")


def _numbers(table: pa.Table, layout: LongParquet) -> np.ndarray:
    """(R,) the frame numbers, NaN where a row has none."""
    return table[layout.frame].to_numpy().astype(np.float64)


def _values(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """(R, values) float32."""
    with np.errstate(over="ignore"):  # a double beyond float32 becomes infinite, which is counted later
        return np.stack([table[name].to_numpy().astype(np.float32) for name in names], axis=-1)


def _places(table: pa.Table, layout: LongParquet) -> np.ndarray:
    """(R,) the place of each row in a whole frame; -1 where it has none."""
    counts = np.array(list(layout.parts.values()))
    parts = pc.index_in(table[layout.part], value_set=pa.array(list(layout.parts))).fill_null(-1)
    part_of, index = np.asarray(parts), table[layout.index].to_numpy().astype(np.float64)
    within = (part_of >= 0) & (index >= 0) & (index < counts[part_of]) & (index == np.floor(index))
    return np.where(within, (np.cumsum(counts) - counts)[part_of] + np.where(within, index, 0).astype(np.intp), -1)


def _no_place(table: pa.Table, layout: LongParquet, places_R: np.ndarray) -> Fault:
    """What is wrong with the first row that has no place in a frame."""
    row = int(np.argmax(places_R < 0))
    part, index = table[layout.part][row].as_py(), table[layout.index].to_numpy()[row]
    if part not in layout.parts:
        return Fault(WRONG_POINTS, f"row {row} is of the type {part!r}")
    return Fault(WRONG_POINTS, f"row {row}: there is no point {index:g} of {part}")


def _points(frames_TxNxV: np.ndarray, task: Task) -> np.ndarray:
    """(T, P, D) the points and axes that the task sees."""
    assert isinstance(task.layout, LongParquet)
    rows, axes = task.layout.rows, [task.layout.values.index(axis) for axis in task.points.axes]
    places = [rows.index(name) for name in task.points.names]
    return np.ascontiguousarray(frames_TxNxV[:, places][:, :, axes])
