"""What `pipeline.convert` accepts and refuses, and how the result is split."""

import json

import numpy as np
import pytest

from pipeline import convert, metadata, sharding
from pipeline.commands import UserError
from pipeline.convert import ConvertShard
from pipeline.dataset import Dataset
from pipeline.features import features
from pipeline.sharding import ShardReport, ShardWriter
from pipeline.splits import SplitRule

HEADER = "path,file_id,sequence_id,participant_id,phrase\n"


@pytest.fixture
def converted(tmp_path, command):
    """`converted(data, *words)`: the data set that `python -m pipeline.convert` makes with these options."""

    def run(data, *words):
        output = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        command(convert, "--data", data, "--output", output, "--workers", 1, *words)
        return Dataset.open(output)

    return run


def ids(found, *splits):
    return sorted(each.sequence_id for split in splits or found.splits for each in found.read(split))


def test_sources_are_kept_apart_in_one_data_set(kaggle_data, example_recordings, converted):
    data = kaggle_data()
    rows = (data / "train.csv").read_text().splitlines(keepends=True)
    (data / "train.csv").write_text("".join(rows[:8]))
    (data / "supplemental_metadata.csv").write_text("".join([HEADER, *rows[8:]]))
    for words in (
        ["--metadata", "train.csv,supplemental_metadata.csv"],
        ["--metadata", "train.csv", "--metadata", "supplemental_metadata.csv"],
    ):
        found = converted(data, "--test-participants", 3, *words)
        sources = {each.sequence_id: each.source for split in found.splits for each in found.read(split)}
        assert sources == {
            each.sequence_id: "train" if index < 7 else "supplemental_metadata"
            for index, each in enumerate(example_recordings)
        }
    assert found.manifest["splits"]["train"]["sequences_of_source"] == {"supplemental_metadata": 4, "train": 5}
    names = [name for name, _ in found.manifest["settings"]["metadata"]]
    assert names == ["train.csv", "supplemental_metadata.csv"]


def test_a_part_of_the_metadata_leaves_the_rest_of_a_file_without_metadata(kaggle_data, converted):
    data = kaggle_data()
    lines = (data / "train.csv").read_text().splitlines(keepends=True)
    (data / "train.csv").write_text("".join(lines[:7]))
    found = converted(data, "--test-participants", 3)
    assert ids(found) == [100, 101, 102, 103, 104, 105]
    assert found.manifest["rejected"] == {"no_metadata": 2}
    assert found.manifest["read"] == 8


def test_trials(kaggle_data, converted):
    data = kaggle_data()
    (data / "train_landmarks/3.parquet").unlink()  # a limited run needs only the files it reads
    found = converted(data, "--limit", 6, "--test-participants", 3)
    assert ids(found) == [100, 101, 102, 103, 104, 105]
    assert ids(found, "test") == [102]
    assert (found.manifest["read"], found.manifest["rejected"]) == (6, {})
    with pytest.raises(UserError, match=r"lacks train_landmarks/3\.parquet, of 3 files"):
        converted(data, "--participants", "2,4", "--test-participants", 4)


def test_a_subset_of_signers(kaggle_data, converted):
    found = converted(kaggle_data(), "--participants", "2,4", "--test-participants", 4)
    assert ids(found, "train") == [101, 105, 109]
    assert ids(found, "test") == [103, 107, 111]
    assert (found.manifest["read"], found.manifest["rejected"]) == (6, {})


def test_split_by_file(kaggle_data, converted):
    found = converted(kaggle_data(), "--validation-files", "train_landmarks/2.parquet", "--split-by", "file")
    assert ids(found, "validation") == [104, 105, 106, 107]
    assert len(ids(found, "test")) == len(ids(found, "train")) == 4
    assert found.participants("train") == [1, 2, 3, 4]
    assert found.manifest["overlap"]["train/validation"] == {
        "participants": 4,
        "sequences": 0,
        "phrases": 0,
        "sequences_with_shared_phrase": 0,
    }


@pytest.mark.parametrize("by", ["participant", "sequence"])
def test_folds(kaggle_data, converted, by):
    words = ["--split-by", by, "--test-share", 0, "--folds", 3, "--fold"]
    folds = [converted(kaggle_data(), *words, fold) for fold in (1, 2, 3)]
    assert sorted(i for found in folds for i in ids(found, "validation")) == list(range(100, 112))
    assert all(ids(found, "train", "validation") == list(range(100, 112)) for found in folds)
    shared = [found.manifest["overlap"]["train/validation"]["participants"] for found in folds]
    assert (max(shared) > 0) == (by == "sequence")


def test_a_sequence_in_two_files(kaggle_data, recording, converted):
    """What the metadata's file holds is taken; the rows elsewhere are rejected, and the place is told."""
    there = recording(7, file="train_landmarks/2.parquet", num_frames=4)
    data = kaggle_data([recording(1), recording(7), recording(2, participant_id=2), there])
    (data / "train.csv").write_text("".join((data / "train.csv").read_text().splitlines(keepends=True)[:4]))
    (data / "train.csv").open("a").write("train_landmarks/2.parquet,2,8,2,abc\n")
    found = converted(data, "--test-participants", 2)
    assert found.manifest["rejected"] == {"no_landmarks": 1, "no_metadata": 1}
    (elsewhere,) = [row for row in _rejected(found) if row["reason"] == "no_metadata"]
    assert (elsewhere["sequence_id"], elsewhere["file"]) == (7, "train_landmarks/2.parquet")
    assert elsewhere["detail"] == "the metadata says train_landmarks/1.parquet"


def test_rows_of_a_sequence_apart_or_out_of_order(kaggle_data, recording, converted):
    data = kaggle_data([recording(1), recording(2, participant_id=2), recording(3), recording(1)])
    lines = (data / "train.csv").read_text().splitlines(keepends=True)
    (data / "train.csv").write_text("".join(lines[:4]))
    found = converted(data, "--test-participants", 2)
    assert ids(found) == [2, 3]
    (row,) = _rejected(found)
    assert (row["sequence_id"], row["reason"]) == (1, "duplicate_sequence")
    assert row["detail"] == "its rows are in 2 places of the file"
    assert found.manifest["read"] == 3


def _rejected(found):
    return [json.loads(line) for line in (found.path / "rejected.jsonl").read_text("utf-8").splitlines()]


def test_infinite_values_are_counted_and_missing(kaggle_data, recording, converted):
    landmarks = recording(1).array()
    landmarks[1, 3] = np.inf, -np.inf
    found = converted(
        kaggle_data([recording(1, landmarks=landmarks), recording(2, participant_id=2)]), "--test-participants", 2
    )
    (sequence,) = found.read("train")
    assert np.isnan(sequence.landmarks[1, 3]).all()
    assert found.manifest["infinite_values"] == 2


def test_statistics_are_those_of_two_passes_over_all_shards(kaggle_data, example_recordings, converted):
    found = converted(kaggle_data(), "--test-participants", 3)
    train = [features(each.array()) for each in example_recordings if each.participant_id != 3]
    values = np.concatenate(train).astype(np.float64).reshape(-1, 600)
    mean = np.nansum(values, axis=0) / np.isfinite(values).sum(axis=0)
    std = np.sqrt(np.nanmean(np.square(values - mean), axis=0))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.std, std, rtol=1e-6)


def shard_of(data, tmp_path, **changes):
    """`ConvertShard` for all of `data`, and its only shard."""
    table = metadata.read(data)
    make = ConvertShard(data, tmp_path, tuple(table.sha256.items()), SplitRule(test_participants=(3,)))
    (tmp_path / "shards").mkdir()
    (tmp_path / "reports").mkdir()
    return make, sharding.Shard(0, 1, "fingerprint", tuple(table.paths), 0)


def test_a_file_that_vanishes_meanwhile(kaggle_data, tmp_path):
    data = kaggle_data()
    make, shard = shard_of(data, tmp_path)
    (data / "train_landmarks/3.parquet").unlink()
    with pytest.raises(UserError, match=r"cannot read .*3\.parquet"):
        make(shard)
    assert list((tmp_path / "shards").iterdir()) == list((tmp_path / "reports").iterdir()) == []


def test_metadata_that_changes_meanwhile(kaggle_data, tmp_path):
    data = kaggle_data()
    make, shard = shard_of(data, tmp_path)
    with (data / "train.csv").open("a") as file:
        file.write("train_landmarks/3.parquet,3,999,1,new\n")
    with pytest.raises(UserError, match=r"train\.csv changed while it was converted: start again"):
        make(shard)


def test_accounts_are_by_sequence_in_both_directions(tmp_path, kaggle_data):
    from pipeline import conversion

    data = kaggle_data()
    make, shard = shard_of(data, tmp_path)
    make(shard)
    report = ShardReport.from_json(json.loads((tmp_path / "reports/00000-of-00001.json").read_text()))
    conversion.check_accounts([report], range(100, 112))
    for used in (range(100, 111), range(100, 113), range(101, 113)):
        with pytest.raises(RuntimeError, match="but 12 were written and 0 rejected"):
            conversion.check_accounts([report], used)
    with ShardWriter(tmp_path, shard) as writer:
        writer.reject(100, "no_metadata")
        writer.reject(101, "empty_label")
    report = ShardReport.from_json(json.loads((tmp_path / "reports/00000-of-00001.json").read_text()))
    conversion.check_accounts([report], [101])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metadata", "other.csv"], r"has no other\.csv"),
        (["--metadata", "train.csv,train.csv"], "two have the same name"),
        (["--participants", "9"], "no participant 9 in the data"),
        (["--test-files", "9.parquet"], r"no file 9\.parquet in the data, which has train_landmarks/1\.parquet"),
        (["--folds", "3"], "fold 0 of 3"),
        (["--fold", "3"], "fold 3 of how many"),
    ],
)
def test_options_that_do_not_fit(kaggle_data, converted, words, message):
    with pytest.raises(UserError, match=message):
        converted(kaggle_data(), *words)
