import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.common.errors import UserError
from pipeline.dataset import wide
from pipeline.tasks.body import POINTS
from pipeline.tasks.faults import Fault
from pipeline.tasks.fingerspelling import COLUMNS, Fingerspelling

TASK = Fingerspelling()


@pytest.mark.parametrize("row_group_size", [1, 2, 7, 1000])
@pytest.mark.parametrize("batch_rows", [1, 3, 4096])
def test_runs_are_whole_whatever_the_row_groups(kaggle_data, recording, monkeypatch, row_group_size, batch_rows):
    monkeypatch.setattr(wide, "_BATCH_ROWS", batch_rows)
    recordings = [recording(5, num_frames=9), recording(3, num_frames=1), recording(8, num_frames=6)]
    data = kaggle_data(recordings, row_group_size=row_group_size)
    runs = list(wide.read_runs(data / "train_landmarks/1.parquet", TASK))
    assert [sequence_id for sequence_id, _ in runs] == [5, 3, 8]
    for (_, landmarks), each in zip(runs, recordings, strict=True):
        assert landmarks.dtype == np.float32
        np.testing.assert_array_equal(landmarks, each.array())


def test_other_columns_in_the_order_asked_for(kaggle_data, recording):
    each = recording(5, num_frames=9)
    data = kaggle_data([each])
    columns = ["z_face_0", "y_pose_12", "x_face_0"]
    ((sequence_id, values),) = wide.read_runs(data / "train_landmarks/1.parquet", TASK, columns)
    point = POINTS.names.index("pose_12")
    expected = np.stack([np.zeros(9), each.array()[:, point, 1], each.array()[:, 0, 0]], axis=1)
    assert sequence_id == 5
    np.testing.assert_array_equal(values, expected.astype(np.float32))


def write(path, **columns):
    """A file of two frames of clip 7 in which each column counts up, but for `columns`; None: left out."""
    table = {"sequence_id": pa.array([7, 7])} | {
        name: pa.array([float(i), i + 0.5], pa.float32()) for i, name in enumerate(COLUMNS)
    }
    table |= columns
    pq.write_table(pa.table({name: column for name, column in table.items() if column is not None}), path)
    return path


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([0.25, None], pa.float32()), [0.25, np.nan]),
        (pa.array([0.25, None], pa.float64()), [0.25, np.nan]),
        (pa.array([0.25, 1e300], pa.float64()), [0.25, np.inf]),
        (pa.array([np.nan, -np.inf], pa.float32()), [np.nan, -np.inf]),
        (pa.array([0.25, 0.5], pa.float16()), [0.25, 0.5]),
        (pa.array([3, None], pa.int64()), [3, np.nan]),
        (pa.array([3, 4], pa.int8()), [3, 4]),
        (pa.array([None, None], pa.float32()), [np.nan, np.nan]),
    ],
)
def test_numbers_of_any_width_and_gaps(tmp_path, column, expected):
    ((_, landmarks),) = wide.read_runs(write(tmp_path / "a.parquet", y_face_17=column), TASK)
    np.testing.assert_array_equal(landmarks[:, POINTS.centre, 1], np.array(expected, np.float32))
    assert landmarks[0, POINTS.centre, 0] == COLUMNS.index("x_face_17")


@pytest.mark.parametrize("kind", [pa.int16(), pa.uint64(), pa.int32()])
def test_ids_of_any_width(tmp_path, kind):
    ((sequence_id, _),) = wide.read_runs(write(tmp_path / "a.parquet", sequence_id=pa.array([7, 7], kind)), TASK)
    assert sequence_id == 7


@pytest.mark.parametrize("name", ["sequence_id", "__index_level_0__"])
def test_ids_as_the_last_column(tmp_path, name):
    """So pandas stores an index, one without a name under the second of these."""
    columns = {name: pa.array([0.5]) for name in COLUMNS} | {name: pa.array([9])}
    table = pa.table(columns).replace_schema_metadata({"pandas": f'{{"index_columns": ["{name}"], "columns": []}}'})
    pq.write_table(table, tmp_path / "a.parquet")
    ((sequence_id, landmarks),) = wide.read_runs(tmp_path / "a.parquet", TASK)
    assert sequence_id == 9
    assert (landmarks == 0.5).all()
    assert wide.count_frames(tmp_path / "a.parquet", TASK, []) == {9: 1}


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sequence_id": None}, "lacks the column sequence_id"),
        ({"x_face_0": None, "y_pose_12": None}, "lacks the columns x_face_0, y_pose_12"),
        (dict.fromkeys(COLUMNS), "lacks the columns x_face_0, y_face_0, x_face_1 and 197 more"),
        ({"x_face_0": pa.array(["a", "b"])}, "holds no numbers in the column x_face_0 (string)"),
        ({"sequence_id": pa.array([7.0, 7.0])}, "holds no integers in the column sequence_id (double)"),
        ({"sequence_id": pa.array([7, None])}, "column sequence_id has rows without a value"),
    ],
)
def test_wrong_columns_are_named(tmp_path, columns, message):
    path = write(tmp_path / "a.parquet", **columns)
    with pytest.raises(UserError) as caught:
        list(wide.read_runs(path, TASK))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_duplicated_column(tmp_path):
    table = pq.read_table(write(tmp_path / "a.parquet"))
    pq.write_table(table.append_column("x_face_0", table.column("x_face_0")), tmp_path / "b.parquet")
    with pytest.raises(UserError, match="has more than once the column x_face_0"):
        list(wide.read_runs(tmp_path / "b.parquet", TASK))


def test_unreadable_files(tmp_path):
    path = write(tmp_path / "a.parquet")
    whole = path.read_bytes()
    for broken in (b"", b"not parquet", whole[:-100], whole[:100], b"\0" * 1000 + whole[1000:]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"cannot read .*a\.parquet as parquet \(") as caught:
            list(wide.read_runs(path, TASK))
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=r"cannot read .*nowhere"):
        list(wide.read_runs(tmp_path / "nowhere.parquet", TASK))


def test_a_file_without_rows(tmp_path):
    path = write(tmp_path / "a.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert list(wide.read_runs(path, TASK)) == []


@pytest.mark.parametrize("name", ["sequence_id", None])
def test_ids_as_an_index_of_pandas(tmp_path, kaggle_data, recording, name):
    recordings = [recording(5), recording(3)]
    data = kaggle_data(recordings)
    frame = pd.read_parquet(data / recordings[0].file).set_index("sequence_id").rename_axis(name)
    frame.to_parquet(tmp_path / "a.parquet")
    stored = pq.read_schema(tmp_path / "a.parquet").names
    assert (name or "__index_level_0__") in stored
    found = list(wide.read_clips(tmp_path / "a.parquet", TASK))
    assert [sequence_id for sequence_id, _ in found] == [5, 3]
    np.testing.assert_array_equal(found[0][1], recordings[0].array())


def rows(path, ids, frames, **options):
    """A file with these ids and frames in its rows, x of the first point counting up."""
    count = np.arange(len(ids), dtype=np.float32)
    table = {"sequence_id": pa.array(ids, pa.int32())} | dict.fromkeys(COLUMNS, count)
    pq.write_table(pa.table(table if frames is None else table | {"frame": frames}), path, **options)
    return path


@pytest.mark.parametrize("kind", [pa.int16(), pa.int64(), pa.float32(), None])
@pytest.mark.parametrize("row_group_size", [1, 4, 100])
def test_rows_that_are_no_clip_are_told_once(tmp_path, kind, row_group_size):
    scattered, again, swapped, good = [7, 7], [8] * 4, [9] * 3, [3] * 3
    ids = [*scattered, *good, 7, *again, *swapped, 4]
    frames = [0, 1, *(0, 2, 7), 2, *(0, 1, 0, 1), *(0, 2, 1), 5]
    path = rows(tmp_path / "a.parquet", ids, kind and pa.array(frames, kind), row_group_size=row_group_size)
    found = list(wide.read_clips(path, TASK))
    faults = {sequence_id: each for sequence_id, each in found if isinstance(each, Fault)}
    landmarks = {sequence_id: each[:, 0, 0].tolist() for sequence_id, each in found if sequence_id not in faults}
    assert len(found) == len(faults) + len(landmarks) == 5
    assert faults.pop(7) == Fault("duplicate_sequence", "its rows are in 2 places of the file")
    if kind is None:
        assert not faults
        assert landmarks == {3: [2, 3, 4], 8: [6, 7, 8, 9], 9: [10, 11, 12], 4: [13]}
    else:
        assert faults == {
            8: Fault("duplicate_sequence", "frame 0 follows frame 1"),
            9: Fault("frames_out_of_order", "frame 1 follows frame 2"),
        }
        assert landmarks == {3: [2, 3, 4], 4: [13]}


def test_a_frame_without_a_number_is_in_no_order(tmp_path):
    path = rows(tmp_path / "a.parquet", [1, 1, 1, 2], pa.array([0, None, 2, 0], pa.int16()))
    found = dict(wide.read_clips(path, TASK))
    assert found[1].reason == "frames_out_of_order"
    assert len(found[2]) == 1


def test_a_frame_column_that_is_none(tmp_path):
    path = rows(tmp_path / "a.parquet", [1], pa.array(["first"]))
    with pytest.raises(UserError, match=r"holds no numbers in the column frame \(string\)"):
        list(wide.read_clips(path, TASK))


def test_flipped_bits_and_truncations_of_a_file_with_checksums_change_nothing_unseen(tmp_path, recording):
    """A sample: each is an error, or was in what is not read. Files without checksums cannot promise it."""
    random = np.random.default_rng(4)
    path = rows(tmp_path / "a.parquet", [5] * 4 + [6] * 3, pa.array([0, 1, 2, 3, 0, 1, 2]), write_page_checksum=True)
    whole = path.read_bytes()
    expected = list(wide.read_clips(path, TASK))
    found = 0
    for bit in random.integers(0, 8 * len(whole), 150):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        for content in (broken, whole[: bit // 8]):
            path.write_bytes(content)
            try:
                read = list(wide.read_clips(path, TASK))
            except UserError:
                found += 1
                continue
            assert content is broken
            for (sequence_id, landmarks), (expected_id, expected_landmarks) in zip(read, expected, strict=True):
                assert sequence_id == expected_id
                np.testing.assert_array_equal(landmarks, expected_landmarks)
    assert found > 150
