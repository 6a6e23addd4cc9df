"""What people record is read as what it is: one clip in many variants, in both layouts, for every task."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.common.errors import UserError
from pipeline.dataset import takes, wide
from pipeline.dataset.readers import read_takes
from pipeline.dataset.symptoms import cleaned
from pipeline.tasks import body
from pipeline.tasks.faults import Fault
from pipeline.tasks.fingerspelling import Fingerspelling
from pipeline.tasks.isolated_signs import IsolatedSigns

TASKS = [Fingerspelling(), IsolatedSigns(("hello",))]
FRAMES = 6
GROUPS = body.POINTS.groups


@pytest.fixture
def landmarks():
    """The left hand is never seen, the right one not in the second frame."""
    found = np.random.default_rng(0).uniform(0.1, 0.9, (FRAMES, *body.POINTS.shape)).astype(np.float32)
    found[:, GROUPS["left_hand"]] = np.nan
    found[1, GROUPS["right_hand"]] = np.nan
    return found


def wide_columns(landmarks, ids=(7,) * FRAMES, frames=range(FRAMES)):
    columns = {"sequence_id": pa.array(ids), "frame": pa.array(frames, pa.int16())}
    values = landmarks.reshape(len(landmarks), -1).T
    return columns | {name: pa.array(column) for name, column in zip(body.WIDE.values, values, strict=True)}


def long_rows(landmarks, first=0):
    """[frame, type, landmark_index, x, y] of each point that the program needs."""
    parts = [name.rpartition("_") for name in body.POINTS.names]
    return [
        [number, part, int(index), *xy]
        for number, frame in enumerate(landmarks.tolist(), first)
        for (part, _, index), xy in zip(parts, frame, strict=True)
    ]


def long_columns(rows):
    names = ("frame", "type", "landmark_index", "x", "y")
    return {name: pa.array(values) for name, values in zip(names, zip(*rows, strict=True), strict=True)}


def without(columns, part):
    return {name: column for name, column in columns.items() if not name[2:].startswith(part)}


def null_type(columns, part):
    return {name: pa.nulls(len(column)) if name[2:].startswith(part) else column for name, column in columns.items()}


def zeros(columns):
    return {name: pa.array(np.nan_to_num(np.asarray(column))) for name, column in columns.items()}


def renamed(columns, **names):
    return {names.get(name, name): column for name, column in columns.items()}


# What is done to a wide table of the clip 7; the id it is read by, and what is said of it.
WIDE = {
    "plain": (lambda c: c, 7, []),
    "a hand without columns": (lambda c: without(c, "left_hand"), 7, []),
    "a hand of the type null": (lambda c: null_type(c, "left_hand"), 7, []),
    "zeros for missing": (zeros, 7, []),
    "no ids": (lambda c: without(c, "quence_id"), "a", []),
    "no ids, no frame numbers": (lambda c: without(without(c, "quence_id"), "ame"), "a", []),
    "ids of the type null": (lambda c: c | {"sequence_id": pa.nulls(FRAMES)}, "a", []),
    "an index that numbers the rows": (
        lambda c: renamed(c, sequence_id="__index_level_0__") | {"__index_level_0__": pa.array([0, 2, 4, 6, 9, 11])},
        "a",
        [],
    ),
    "an index of times": (
        lambda c: (
            renamed(c, sequence_id="__index_level_0__")
            | {"__index_level_0__": pa.array(range(FRAMES), pa.timestamp("ms"))}
        ),
        "a",
        [],
    ),
    "an index of ids": (lambda c: renamed(c, sequence_id="__index_level_0__"), 7, []),
    "ids that became fractions": (lambda c: c | {"sequence_id": pa.array([7.0] * FRAMES)}, 7, []),
    "names for ids": (lambda c: c | {"sequence_id": pa.array(["me, at home"] * FRAMES)}, "me, at home", []),
    "categories for ids": (lambda c: c | {"sequence_id": pa.array(["me"] * FRAMES).dictionary_encode()}, "me", []),
    "frame numbers of the type null": (lambda c: c | {"frame": pa.nulls(FRAMES)}, 7, []),
    "frames from 12 on": (lambda c: c | {"frame": pa.array(range(12, 12 + FRAMES))}, 7, []),
    "every frame 0": (lambda c: c | {"frame": pa.array([0] * FRAMES)}, 7, [takes.REPEATED]),
    "a frame without a number": (lambda c: c | {"frame": pa.array([0, 1, None, 3, 4, 5])}, 7, [takes.UNNUMBERED]),
}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("name", WIDE)
def test_a_wide_file(tmp_path, landmarks, task, name):
    change, sequence_id, remarks = WIDE[name]
    pq.write_table(pa.table(change(wide_columns(landmarks))), tmp_path / "a.parquet")
    (take,) = read_takes(tmp_path / "a.parquet", task)
    assert (take.sequence_id, take.number, list(take.remarks)) == (sequence_id, 1, remarks)
    found, symptoms = cleaned(take.landmarks, task.points)
    np.testing.assert_array_equal(found, landmarks)
    assert symptoms.frames_with_zeros == (FRAMES if name == "zeros for missing" else 0)


@pytest.mark.parametrize(
    ("parts", "groups"),
    [
        (["face", "pose"], ["face", "right_pose", "left_pose"]),
        (["pose"], ["right_pose", "left_pose"]),
        (["left_hand", "right_hand"], ["left_hand", "right_hand"]),
    ],
)
@pytest.mark.parametrize("change", [without, null_type])
def test_parts_that_are_missing_throughout(tmp_path, landmarks, parts, groups, change):
    columns = wide_columns(landmarks)
    for part in parts:
        columns = change(columns, part)
    for group in groups:
        landmarks[:, GROUPS[group]] = np.nan
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    (take,) = read_takes(tmp_path / "a.parquet", TASKS[0])
    np.testing.assert_array_equal(take.landmarks, landmarks)


def test_all_of_the_type_null(tmp_path, landmarks):
    pq.write_table(pa.table(null_type(wide_columns(landmarks), "")), tmp_path / "a.parquet")
    (take,) = read_takes(tmp_path / "a.parquet", TASKS[0])
    assert take.landmarks.shape == landmarks.shape
    assert np.isnan(take.landmarks).all()


@pytest.mark.parametrize("batch_rows", [1, 4, 4096])
def test_takes_of_a_wide_file(tmp_path, monkeypatch, landmarks, batch_rows):
    """Two of one id, one of another, and a third of the first."""
    monkeypatch.setattr(wide, "_BATCH_ROWS", batch_rows)
    lengths, ids, first = (6, 4, 3, 2), (7, 7, 8, 7), (3, 4, 0, 0)
    frames = np.concatenate([np.arange(length) + start for length, start in zip(lengths, first, strict=True)])
    several = np.concatenate([landmarks[:length] + i for i, length in enumerate(lengths)])
    pq.write_table(pa.table(wide_columns(several, np.repeat(ids, lengths), frames)), tmp_path / "a.parquet")
    found = list(read_takes(tmp_path / "a.parquet", TASKS[0]))
    assert [(take.sequence_id, take.number) for take in found] == [(7, 1), (7, 2), (8, 1), (7, 3)]
    assert [list(take.remarks) for take in found] == [[takes.AGAIN], [takes.AGAIN], [], [takes.SCATTERED]]
    for i, take in enumerate(found):
        np.testing.assert_array_equal(take.landmarks, landmarks[: lengths[i]] + i)


SPLITS = {
    "one": ([0, 1, 2], [[0, 1, 2]], []),
    "none": ([], [[]], []),
    "two": ([0, 1, 0, 1], [[0, 1], [2, 3]], [takes.AGAIN]),
    "two that begin elsewhere": ([5, 6, 7, 6, 7], [[0, 1, 2], [3, 4]], [takes.AGAIN]),
    "each row twice": ([0, 0, 1, 1], [[0, 1, 2, 3]], [takes.REPEATED]),
    "two, each row twice": ([0, 0, 1, 0, 0], [[0, 1, 2], [3, 4]], [takes.AGAIN, takes.REPEATED]),
    "sorted as texts": ([0, 1, 10, 11, 2], [[0, 1, 4, 2, 3]], [takes.SHUFFLED]),
    "backwards": ([2, 1, 0], [[2, 1, 0]], [takes.SHUFFLED]),
    "every second": (range(0, 40, 2), [list(range(20))], [takes.SPARSE]),
    "a gap": ([*range(20), *range(30, 40)], [list(range(30))], []),
    "no numbers": ([np.nan, np.nan], [[0, 1]], [takes.UNNUMBERED]),
}


@pytest.mark.parametrize("name", SPLITS)
def test_frame_numbers_tell_takes_apart(name):
    numbers, expected, remarks = SPLITS[name]
    found, said = takes.split(np.array(numbers, np.float64))
    assert [rows.tolist() for rows in found] == expected
    assert said == remarks


# What is done to the rows of a long table.
LONG = {
    "plain": lambda rows: rows,
    "points of no row": lambda rows: [row for row in rows if row[3] == row[3]],
    "shuffled": lambda rows: [rows[i] for i in np.random.default_rng(0).permutation(len(rows))],
    "part by part": lambda rows: sorted(rows, key=lambda row: (row[1], row[2])),
    "points that are not needed": lambda rows: [*rows, [0, "face", 470, 0.5, 0.5], [0, "iris", 1, 0.5, 0.5]],
}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("name", LONG)
def test_a_long_file(tmp_path, landmarks, task, name):
    pq.write_table(pa.table(long_columns(LONG[name](long_rows(landmarks)))), tmp_path / "a.parquet")
    (take,) = read_takes(tmp_path / "a.parquet", task)
    assert (take.sequence_id, take.number, take.remarks) == ("a", 1, ())
    np.testing.assert_array_equal(take.landmarks, landmarks)


def test_takes_and_clips_of_a_long_file(tmp_path, landmarks):
    rows = [*long_rows(landmarks, 3), *long_rows(landmarks[:4], 3), *long_rows(landmarks[:2])]
    columns = long_columns(rows) | {"sequence_id": pa.array(["b"] * 1000 + ["a"] * 200)}
    pq.write_table(pa.table(columns), tmp_path / "9.parquet")
    found = list(read_takes(tmp_path / "9.parquet", TASKS[0]))
    assert [(take.sequence_id, take.number) for take in found] == [("b", 1), ("b", 2), ("a", 1)]
    assert [list(take.remarks) for take in found] == [[takes.AGAIN], [takes.AGAIN], []]
    for take, length in zip(found, (6, 4, 2), strict=True):
        np.testing.assert_array_equal(take.landmarks, landmarks[:length])
    pq.write_table(pa.table(long_columns(rows[:600])), tmp_path / "9.parquet")
    (take,) = read_takes(tmp_path / "9.parquet", TASKS[0])
    assert take.sequence_id == 9


REFUSED = {
    "no points": ({"sequence_id": [1], "frame": [0]}, "lacks the columns x_face_0, y_face_0, x_face_1 and 197 more"),
    "half a hand": (
        lambda landmarks: without(wide_columns(landmarks), "left_hand_1"),
        "lacks the columns x_left_hand_1, y_left_hand_1, x_left_hand_10 and 19 more",
    ),
    "an id is missing": (
        lambda landmarks: wide_columns(landmarks, [7, 7, None, 7, 7, 7]),
        "column sequence_id has rows without a value",
    ),
    "an id beyond": (
        lambda landmarks: wide_columns(landmarks, pa.array([1 << 63] * FRAMES, pa.uint64())),
        "column sequence_id has an id that is not an integer of 64 bits (Integer value 9223372036854775808 not in",
    ),
    "fractions for ids": (
        lambda landmarks: wide_columns(landmarks, [7.5] * FRAMES),
        "column sequence_id has an id that is not an integer of 64 bits",
    ),
    "times for ids": (
        lambda landmarks: wide_columns(landmarks, pa.array([7] * FRAMES, pa.timestamp("ms"))),
        "holds no ids in the column sequence_id (timestamp[ms])",
    ),
    "every point of a long file in frame 0": (
        lambda landmarks: long_columns([[0, *row[1:]] for row in long_rows(landmarks)]),
        "frame 0 has a point twice (wrong_points)",
    ),
    "parts by other names": (
        lambda landmarks: long_columns([[row[0], f"my {row[1]}", *row[2:]] for row in long_rows(landmarks)]),
        "row 0 is of the type 'my face' (wrong_points)",
    ),
    "a long file without frame numbers": (
        lambda landmarks: without(long_columns(long_rows(landmarks)), "ame"),
        "lacks the column frame",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_named(tmp_path, landmarks, name):
    columns, message = REFUSED[name]
    pq.write_table(pa.table(columns(landmarks) if callable(columns) else columns), tmp_path / "a.parquet")
    with pytest.raises(UserError) as caught:
        list(read_takes(tmp_path / "a.parquet", TASKS[0]))
    assert str(caught.value).startswith(f"{tmp_path / 'a.parquet'}")
    assert message in str(caught.value)


# What conversion says of a wide file: an error, or what is wrong with clip 7; None: it takes it.
STRICT = {
    "plain": None,
    "a hand without columns": "lacks the columns x_left_hand_0, y_left_hand_0",
    "a hand of the type null": None,
    "zeros for missing": None,
    "no ids": "lacks the column sequence_id",
    "ids of the type null": "holds no integers in the column sequence_id (null)",
    "an index that numbers the rows": "lacks the column sequence_id, and its index only numbers the rows",
    "an index of ids": None,
    "ids that became fractions": "holds no integers in the column sequence_id (double)",
    "names for ids": "holds no integers in the column sequence_id (string)",
    "every frame 0": Fault("repeated_frame_numbers", "frame 0 follows frame 0"),
    "a frame without a number": Fault("frames_out_of_order", "frame nan follows frame 1"),
    "frame numbers of the type null": None,
}


@pytest.mark.parametrize("name", STRICT)
def test_conversion_is_strict(tmp_path, landmarks, name):
    pq.write_table(pa.table(WIDE[name][0](wide_columns(landmarks))), tmp_path / "a.parquet")
    expected = STRICT[name]
    if isinstance(expected, str):
        with pytest.raises(UserError) as caught:
            list(wide.read_clips(tmp_path / "a.parquet", TASKS[0]))
        assert expected in str(caught.value)
        return
    ((sequence_id, found),) = wide.read_clips(tmp_path / "a.parquet", TASKS[0])
    assert sequence_id == 7
    if expected is None:
        np.testing.assert_array_equal(cleaned(found, body.POINTS)[0], landmarks)
    else:
        assert found == expected


def test_conversion_wraps_no_id(tmp_path, landmarks):
    columns = wide_columns(landmarks, pa.array([(1 << 64) - 1] * FRAMES, pa.uint64()))
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(UserError, match="column sequence_id has an id that is not an integer of 64 bits"):
        list(wide.read_clips(tmp_path / "a.parquet", TASKS[0]))
