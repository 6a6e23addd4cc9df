"""Recordings as parquet files, laid out as the Kaggle sets are: a row a frame (wide), or a row a point (long)."""

import functools
import json
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.common import storage
from pipeline.common.storage import AnyPath

# The points of a frame, as MediaPipe Holistic gives them, in the order of the Kaggle files.
FACE, LEFT_HAND, POSE, RIGHT_HAND = slice(0, 468), slice(468, 489), slice(489, 522), slice(522, 543)
NUM_POINTS = 543
# x of all points, then y, then z.
POINT_COLUMNS = tuple(
    f"{axis}_{group}_{i}"
    for axis in "xyz"
    for group, points in (("face", FACE), ("left_hand", LEFT_HAND), ("pose", POSE), ("right_hand", RIGHT_HAND))
    for i in range(points.stop - points.start)
)

_MIN_ROWS_PER_GROUP = 4096
# Splitting floats into streams of bytes before compression halves both size and time.
_COMPRESSION = {"compression": "zstd", "compression_level": 1}


def write_wide(
    path: AnyPath, recordings: Iterable[tuple[int, np.ndarray]], *, notes: Mapping[str, str] | None = None
) -> None:
    """Writes clips, of id and landmarks (T, 543, 3) each, into one file, a few of them in memory at a time.

    Args:
      notes: what the file's own metadata say beside the columns, by name.
    """
    schema = wide_schema()
    schema = schema.with_metadata({**schema.metadata, **(notes or {})})
    with (
        storage.replacing(path) as temporary,
        temporary.open("wb") as file,
        pq.ParquetWriter(
            file, schema, use_dictionary=False, use_byte_stream_split=list(POINT_COLUMNS), **_COMPRESSION
        ) as writer,
    ):
        waiting: list[tuple[int, np.ndarray]] = []

        def flush() -> None:
            table = _wide_table(waiting)
            writer.write_table(table, row_group_size=len(table))
            waiting.clear()

        for recording in recordings:
            waiting.append(recording)
            if sum(len(landmarks) for _, landmarks in waiting) >= _MIN_ROWS_PER_GROUP:
                flush()
        if waiting:
            flush()


def _wide_table(recordings: list[tuple[int, np.ndarray]]) -> pa.Table:
    """Rows of `wide_schema` from (clip id, landmarks (T, 543, 3)); NaN becomes null, as in the real files."""
    frames = np.concatenate([np.arange(len(landmarks), dtype=np.int16) for _, landmarks in recordings])
    ids = np.concatenate([np.full(len(landmarks), sequence_id) for sequence_id, landmarks in recordings])
    columns_CxT = np.concatenate([landmarks.T.reshape(len(POINT_COLUMNS), -1) for _, landmarks in recordings], axis=1)
    points = [pa.array(column, from_pandas=True) for column in columns_CxT]
    return pa.Table.from_arrays([pa.array(frames), *points, pa.array(ids)], schema=wide_schema())


@functools.cache
def wide_schema() -> pa.Schema:
    """The columns of the Kaggle files, with the index as pandas writes it."""
    types = {"frame": "int16"} | dict.fromkeys(POINT_COLUMNS, "float32") | {"sequence_id": "int64"}
    return _schema(types, index="sequence_id")


def write_long(path: AnyPath, landmarks: np.ndarray, *, first_frame: int) -> None:
    """Writes one clip, landmarks (T, 543, 3), whose frames are numbered from `first_frame` on."""
    table = _long_table(landmarks, first_frame)
    with storage.replacing(path) as temporary, temporary.open("wb") as file:
        pq.write_table(
            table,
            file,
            use_dictionary=["frame", "type", "landmark_index"],
            # A row's name begins as the one before it.
            column_encoding={"row_id": "DELTA_BYTE_ARRAY"} | dict.fromkeys("xyz", "BYTE_STREAM_SPLIT"),
            **_COMPRESSION,
        )


def _long_table(landmarks: np.ndarray, first_frame: int) -> pa.Table:
    """Rows of `long_schema`; NaN becomes null, as in the real files."""
    numbers = pa.array(np.arange(first_frame, first_frame + len(landmarks), dtype=np.int16))
    each_frame = pa.array(np.repeat(np.arange(len(landmarks)), NUM_POINTS))
    each_point = pa.array(np.tile(np.arange(NUM_POINTS), len(landmarks)))
    types, indices, names = (column.take(each_point) for column in _frame_columns())
    row_ids = pc.binary_join_element_wise(numbers.cast(pa.string()).take(each_frame), names, "-")
    values = [pa.array(values.astype(np.float64), from_pandas=True) for values in landmarks.reshape(-1, 3).T]
    return pa.Table.from_arrays([numbers.take(each_frame), row_ids, types, indices, *values], schema=long_schema())


@functools.cache
def _frame_columns() -> tuple[pa.Array, pa.Array, pa.Array]:
    """The columns type and landmark_index of one frame, and both in one: what ends a row's name."""
    names = [name.removeprefix("x_").rpartition("_") for name in POINT_COLUMNS[:NUM_POINTS]]
    types, indices = [part for part, _, _ in names], [int(index) for _, _, index in names]
    return pa.array(types), pa.array(indices, pa.int16()), pa.array([f"{part}-{index}" for part, _, index in names])


@functools.cache
def long_schema() -> pa.Schema:
    """The columns of the Kaggle files."""
    coordinates = dict.fromkeys("xyz", "double")
    return _schema({"frame": "int16", "row_id": "string", "type": "string", "landmark_index": "int16"} | coordinates)


def _schema(types: dict[str, str], index: str | None = None) -> pa.Schema:
    """Columns with what pandas writes of them."""
    pandas_types = {"string": "unicode", "double": "float64"}
    numpy_types = {"string": "object", "double": "float64"}
    pandas = {
        "index_columns": [index] if index else [],
        "column_indexes": [
            {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
        ],
        "columns": [
            {
                "name": name,
                "field_name": name,
                "pandas_type": pandas_types.get(kind, kind),
                "numpy_type": numpy_types.get(kind, kind),
                "metadata": None,
            }
            for name, kind in types.items()
        ],
        "pandas_version": "2.0.0",
    }
    fields = [pa.field(name, pa.type_for_alias(kind)) for name, kind in types.items()]
    return pa.schema(fields, metadata={"pandas": json.dumps(pandas)})
