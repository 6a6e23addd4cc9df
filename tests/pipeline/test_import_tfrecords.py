import contextlib
import dataclasses
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import convert, import_tfrecords
from pipeline.common.errors import UserError
from pipeline.dataset import records
from pipeline.dataset.dataset import Dataset
from pipeline.tasks.body import POINTS
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()


def test_the_points_are_in_the_published_order(published):
    columns = published["columns"].tolist()
    names = [POINTS.names[point] for point in import_tfrecords.PUBLISHED_POINTS]
    assert columns == [f"{axis}_{name}" for axis in "xy" for name in names]


def example(tf, frames, phrase, **more):
    """An Example as the published notebook makes it, with stock TensorFlow."""
    features = {
        "frames": tf.train.Feature(float_list=tf.train.FloatList(value=np.ravel(frames))),
        "phrase": tf.train.Feature(float_list=tf.train.FloatList(value=phrase)),
    }
    return tf.train.Example(features=tf.train.Features(feature=features | more)).SerializeToString()


def as_published(recording):
    """(frames, phrase) of a recording, value by value."""
    hands = [f"{side}_hand_{i}" for side in ("right", "left") for i in range(21)]
    rest = [*POINTS.names[POINTS.groups["face"]], *(f"pose_{i}" for i in (11, 13, 15, 17, 19, 21, 23))]
    names = [*hands, *rest, *(f"pose_{i}" for i in (12, 14, 16, 18, 20, 22, 24))]
    points = [POINTS.names.index(name) for name in names]
    frames = [[frame[point, axis] for point in points] for frame in recording.array() for axis in (0, 1)]
    return frames, TASK.encode(recording.phrase)


@pytest.fixture
def write_records(tmp_path):
    tf = pytest.importorskip("tensorflow")

    def write(recordings, *, records_of=as_published):
        folder = tmp_path / "tfds"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for stem in {each.file.rpartition("/")[2].removesuffix(".parquet") for each in recordings}:
            with tf.io.TFRecordWriter(str(folder / f"{stem}.tfrecord"), "GZIP") as writer:
                for each in recordings:
                    if each.file.endswith(f"/{stem}.parquet"):
                        writer.write(example(tf, *records_of(each)))
        return folder

    return write


def test_what_is_imported_is_what_is_converted(kaggle_data, example_recordings, write_records, command, tmp_path):
    data, folder = kaggle_data(), write_records(example_recordings)
    words = ["--data", data, "--workers", 1, "--test-signers", 3, "--signers", "1,2,3", "--limit", 8]
    command(convert, *words, "--output", tmp_path / "converted")
    shutil.rmtree(data / "train_landmarks")
    command(import_tfrecords, *words, "--records", folder, "--output", tmp_path / "imported")
    converted, imported = Dataset.open(tmp_path / "converted"), Dataset.open(tmp_path / "imported")
    assert imported.manifest["settings"]["from"] == "tfrecords"
    assert (imported.manifest["read"], imported.manifest["written"]) == (8, 8)
    assert imported.fingerprint == converted.fingerprint
    np.testing.assert_array_equal(imported.mean, converted.mean)


@pytest.mark.parametrize(
    "split",
    [
        ["--split-by", "file", "--folds", 2, "--fold", 1, "--test-share", 0.3],
        ["--test-files", "train_landmarks/3.parquet", "--validation-files", "train_landmarks/1.parquet"],
    ],
)
def test_files_are_split_as_they_are_converted(
    kaggle_data, example_recordings, write_records, command, tmp_path, split
):
    words = ["--data", kaggle_data(), "--workers", 1, *split]
    command(convert, *words, "--output", tmp_path / "converted")
    command(import_tfrecords, *words, "--records", write_records(example_recordings), "--output", tmp_path / "imported")
    converted, imported = Dataset.open(tmp_path / "converted"), Dataset.open(tmp_path / "imported")
    assert imported.splits == ["train", "validation", "test"]
    assert imported.fingerprint == converted.fingerprint


def test_two_files_of_one_name(kaggle_data, recording, command, tmp_path):
    data = kaggle_data([recording(1), recording(2, file="train_landmarks/2.parquet")])
    text = (data / "train.csv").read_text()
    (data / "train.csv").write_text(text.replace("train_landmarks/2.parquet", "supplemental_landmarks/1.parquet"))
    with pytest.raises(
        UserError,
        match=r"train\.csv: supplemental_landmarks/1\.parquet and train_landmarks/1\.parquet would both be 1\.tfrecord",
    ):
        command(import_tfrecords, "--data", data, "--records", data, "--output", tmp_path / "o", "--test-share", 0)


def test_a_record_without_frames_is_rejected(kaggle_data, recording, write_records, command, tmp_path):
    recordings = [recording(1), recording(2, signer=2), recording(3, num_frames=0)]
    folder = write_records(recordings)
    words = ["--data", kaggle_data(recordings), "--records", folder, "--test-signers", 2, "--workers", 1]
    command(import_tfrecords, *words, "--output", tmp_path / "imported")
    assert Dataset.open(tmp_path / "imported").manifest["rejected"] == {"no_landmarks": 1}


@pytest.fixture
def read(kaggle_data, write_records):
    """`read(recordings, written)`: what `written` records are for the metadata of `recordings`, all in one file."""
    from pipeline.dataset import metadata

    def run(recordings, written, **options):
        folder = write_records(written, **options)
        table = import_tfrecords.by_record_file(metadata.read(kaggle_data(recordings), TASK.metadata))
        return list(import_tfrecords.read_file(folder / "1.tfrecord", table.by_path["1.tfrecord"]))

    return run


def test_records_that_are_of_other_data(read, recording):
    first, second, third = (recording(i, phrase) for i, phrase in enumerate(["ab", "cd", "ab"]))
    assert len(read([first, second, third], [first, second, third])) == 3
    with pytest.raises(UserError, match=r"1\.tfrecord, record 1 has the phrase 'cd', row 1 .*\(clip 0\) has 'ab'"):
        read([first, second, third], [second, first, third])
    with pytest.raises(UserError, match=r"has 2, not the 3 records of its rows in the metadata"):
        read([first, second, third], [first, second])
    with pytest.raises(UserError, match="has more than the 2 records"):
        read([first, second], [first, second, third])
    with pytest.raises(UserError, match=r"record 1 has the phrase 'ab', .* has 'aÉ'"):
        read([dataclasses.replace(first, phrase="aÉ")], [first])


@pytest.mark.parametrize(
    "change",
    [
        lambda frames, phrase: (frames[:-1], phrase),
        lambda frames, phrase: (frames, [index + 0.5 for index in phrase]),
        lambda frames, phrase: (frames, []),
        lambda frames, phrase: (frames, [np.nan] * len(phrase)),
    ],
)
def test_records_that_are_none(read, recording, change):
    with pytest.raises(UserError, match=r"1\.tfrecord, record 1 "):
        read([recording(1)], [recording(1)], records_of=lambda each: change(*as_published(each)))


def test_missing_files(kaggle_data, write_records, example_recordings, command, tmp_path):
    folder = write_records(example_recordings[:4])
    words = ["--data", kaggle_data(), "--records", folder, "--output", tmp_path / "imported"]
    with pytest.raises(UserError, match=r"lacks 2\.tfrecord and 1 more, of 3 files that train\.csv names"):
        command(import_tfrecords, *words)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(width=32), max_size=30), st.lists(st.integers(0, 58), max_size=9), st.booleans())
def test_float_lists_are_those_of_stock_tensorflow(frames, phrase, more):
    tf = pytest.importorskip("tensorflow")
    other = {
        "lev": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5])),
        "id": tf.train.Feature(int64_list=tf.train.Int64List(value=[1, 2])),
        "name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"])),
        "nothing": tf.train.Feature(),
    }
    found = records.float_lists(example(tf, frames, phrase, **(other if more else {})))
    np.testing.assert_array_equal(found["frames"], np.array(frames, np.float32))
    assert found["phrase"].tolist() == phrase
    assert found.keys() == {"frames", "phrase"} | ({"lev"} if more else set())


@given(st.binary(max_size=60))
def test_what_is_no_example_raises_value_error_alone(content):
    with contextlib.suppress(ValueError):
        records.float_lists(content)
