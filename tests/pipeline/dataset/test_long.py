import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.common.errors import UserError
from pipeline.dataset import long, readers
from pipeline.dataset.readers import reader
from pipeline.tasks.body import PARTS
from pipeline.tasks.faults import Fault
from pipeline.tasks.fingerspelling import Fingerspelling
from pipeline.tasks.isolated_signs import IsolatedSigns

TASK = IsolatedSigns(("hello", "bye"))
ROWS = [(part, i) for part, count in PARTS.items() for i in range(count)]


def table(num_frames=3, first=186, step=1):
    """As the competition's files are: numbers that start anywhere, nulls for what was not seen."""
    random = np.random.default_rng(num_frames)
    values = random.uniform(0, 1, (num_frames, len(ROWS), 3)).round(5)
    values[0, 468:489] = np.nan
    numbers = np.repeat(np.arange(first, first + step * num_frames, step), len(ROWS))
    return {
        "frame": pa.array(numbers, pa.int16()),
        "row_id": [f"{number}-{part}-{i}" for number, (part, i) in zip(numbers, ROWS * num_frames, strict=True)],
        "type": [part for part, _ in ROWS] * num_frames,
        "landmark_index": pa.array([i for _, i in ROWS] * num_frames, pa.int16()),
        **{axis: pa.array(values[..., at].ravel(), from_pandas=True) for at, axis in enumerate("xyz")},
    }, values


def write(path: pathlib.Path, columns) -> pathlib.Path:
    pq.write_table(pa.table(columns), path)
    return path


def only(path):
    ((sequence_id, found),) = long.read_clips(path, TASK, [7])
    assert sequence_id == 7
    return found


def test_points_are_those_of_the_task(tmp_path):
    columns, values = table()
    path = write(tmp_path / "9.parquet", columns)
    found = only(path)
    assert found.dtype == np.float32
    assert found.shape == (3, *TASK.points.shape)
    for point, name in enumerate(TASK.points.names):
        part, _, number = name.rpartition("_")
        expected = values[:, ROWS.index((part, int(number))), :2].astype(np.float32)
        np.testing.assert_array_equal(found[:, point], expected)
    (take,) = readers.read_takes(path, TASK)
    assert (take.sequence_id, take.number, take.remarks) == (9, 1, ())
    np.testing.assert_array_equal(take.landmarks, found)
    ((_, whole),) = long.read_inputs(path, TASK, ())
    np.testing.assert_array_equal(whole, values.astype(np.float32))
    assert long.count_frames(path, TASK, [7]) == {7: 3}
    np.testing.assert_array_equal(whole.reshape(3, -1)[:, TASK.contract.index], found)


@pytest.mark.parametrize("step", [1, 3])
def test_rows_in_any_order(tmp_path, step):
    columns, _ = table(step=step)
    expected = only(write(tmp_path / "a.parquet", columns))
    order = np.random.default_rng(0).permutation(3 * len(ROWS))
    shuffled = pa.table(columns).take(pa.array(order))
    pq.write_table(shuffled, tmp_path / "b.parquet")
    np.testing.assert_array_equal(only(tmp_path / "b.parquet"), expected)


def changed(columns, name, row, value, kind=None):
    values = pa.array(columns[name]).to_pylist()
    values[row] = value
    kind = kind or pa.array(columns[name]).type
    return columns | {name: pa.array(values, kind)}


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        (lambda c: {k: v[:-1] for k, v in c.items()}, "not_whole_frames", "1628 rows, expected a multiple of 543"),
        (lambda c: {k: pa.array(v).slice(0, 0) for k, v in c.items()}, "no_landmarks", "no rows"),
        (lambda c: changed(c, "type", 5, "tail"), "wrong_points", "row 5 is of the type 'tail'"),
        (lambda c: changed(c, "type", 5, None), "wrong_points", "row 5 is of the type None"),
        (lambda c: changed(c, "landmark_index", 5, 468), "wrong_points", "row 5: there is no point 468 of face"),
        (lambda c: changed(c, "landmark_index", 5, -1), "wrong_points", "row 5: there is no point -1 of face"),
        (lambda c: changed(c, "landmark_index", 5, None), "wrong_points", "row 5: there is no point nan of face"),
        (
            lambda c: changed(c, "landmark_index", 5, 5.5, pa.float64()),
            "wrong_points",
            "row 5: there is no point 5.5 of face",
        ),
        (
            lambda c: changed(c, "landmark_index", 5, 6),
            "wrong_points",
            "frame 186 does not have each of its 543 points",
        ),
        (lambda c: changed(c, "frame", 600, 186), "wrong_points", "does not have each of its 543 points once"),
        (lambda c: changed(c, "frame", 600, None), "not_whole_frames", "a row has no frame number"),
        (
            lambda c: c | {"frame": pa.array(np.repeat([186, 187, 186], 543))},
            "wrong_points",
            "frame 186 does not have each of its 543 points once",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path, change, reason, detail):
    columns, _ = table()
    path = write(tmp_path / "a.parquet", change(columns))
    found = only(path)
    assert isinstance(found, Fault)
    assert found.reason == reason
    assert detail in found.detail
    with pytest.raises(UserError, match=rf"a\.parquet: .*\({reason}\)"):
        list(long.read_inputs(path, TASK, ()))


def test_two_clips_of_one_file(tmp_path):
    columns, _ = table()
    found = dict(long.read_clips(write(tmp_path / "a.parquet", columns), TASK, [7, 8]))
    assert {fault.reason for fault in found.values()} == {"duplicate_sequence"}
    assert found.keys() == {7, 8}


def test_files_of_another_layout(tmp_path, kaggle_data):
    columns, _ = table()
    with pytest.raises(UserError, match=r"a\.parquet lacks the columns sequence_id, x_face_0, .* and 198 more"):
        list(reader(Fingerspelling()).read_clips(write(tmp_path / "a.parquet", columns), Fingerspelling(), [7]))
    with pytest.raises(UserError, match="lacks the columns type, landmark_index, x and 2 more"):
        list(reader(TASK).read_clips(kaggle_data() / "train_landmarks/1.parquet", TASK, [7]))
    with pytest.raises(UserError, match=r"holds no texts in the column type \(int64\)"):
        only(write(tmp_path / "b.parquet", columns | {"type": [0] * len(columns["type"])}))


def test_the_largest_frame_number(tmp_path):
    columns, _ = table(num_frames=3, first=186, step=2)
    path = write(tmp_path / "5.parquet", columns)
    assert long.last_frames(path, TASK, [5]) == {5: 190.0}
