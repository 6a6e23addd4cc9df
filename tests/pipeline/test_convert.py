import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from pipeline import convert
from pipeline.beam import conversion
from pipeline.beam.runners import Runner
from pipeline.common.errors import UserError
from pipeline.dataset import metadata, sharding
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.features import features
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.body import POINTS
from pipeline.tasks.faults import Fault
from pipeline.tasks.fingerspelling import Fingerspelling

HEADER = "path,file_id,sequence_id,participant_id,phrase\n"
TASK = Fingerspelling()
RULE = SplitRule(test_signers=(3,))


def run(data, output, *, num_shards=None, workers=1):
    conversion.convert(data, output, RULE, num_shards=num_shards, runner=Runner(workers=workers))
    return Dataset.open(output)


@pytest.fixture
def converted(tmp_path, command):
    """`converted(data, *words)`: the dataset that `python -m pipeline.convert` makes with these options."""

    def run(data, *words):
        output = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        command(convert, "--data", data, "--output", output, "--workers", 1, *words)
        return Dataset.open(output)

    return run


def files(directory):
    return {path.name: path.read_bytes() for path in sorted((directory / "shards").iterdir())}


def ids(found, *splits):
    return sorted(each.sequence_id for split in splits or found.splits for each in found.read(split))


def rejected(found):
    return [json.loads(line) for line in (found.path / "rejected.jsonl").read_text("utf-8").splitlines()]


@dataclasses.dataclass
class Collected:
    """Stands in for a `ShardWriter`: what is taken and rejected, by the ids of the clips."""

    taken: list = dataclasses.field(default_factory=list)
    rejected: dict = dataclasses.field(default_factory=dict)

    def take(self, split, entry, found):
        self.taken.append((split, entry, found))

    def reject(self, sequence_id, fault, *, file):
        self.rejected.setdefault(sequence_id, []).append((fault, file))


def collected(data, path="train_landmarks/1.parquet", *, without=()):
    """What becomes of a file where the clips `without` have no split."""
    table = metadata.read(data, TASK.metadata)
    writer = Collected()
    split_of = {sequence_id: "train" for sequence_id in table.entries if sequence_id not in without}
    make = conversion.ConvertShard(data, data, data, TASK, (), SplitRule())
    make.convert_file(path, table, split_of, writer)
    return writer


def test_what_is_kept(kaggle_data, recording):
    one_frame = recording(1, num_frames=1)
    all_missing = recording(2, landmarks=np.full((3, *POINTS.shape), np.nan, np.float32))
    plain = recording(3, "it's 1/2!", signer=8, num_frames=30)
    writer = collected(kaggle_data([one_frame, all_missing, plain]))
    assert not writer.rejected
    for (split, entry, landmarks), each in zip(writer.taken, [one_frame, all_missing, plain], strict=True):
        assert split == "train"
        np.testing.assert_array_equal(landmarks, each.array())
        assert (entry.label, entry.signer, entry.source) == (each.phrase, each.signer, "train")


def test_each_clip_of_file_and_metadata_is_met_once(kaggle_data, recording):
    data = kaggle_data([recording(1), recording(2), recording(3, num_frames=0), recording(1), recording(7)])
    # The metadata names 1 once, 7 in another file, and 99 not at all.
    rows = (data / "train.csv").read_text().splitlines()
    (data / "train.csv").write_text("\n".join([*rows[:4], "train_landmarks/2.parquet,2,7,1,abc\n"]))
    writer = collected(data)
    found = {entry.sequence_id: each for _, entry, each in writer.taken}
    assert len(found) == len(writer.taken) == 3
    assert isinstance(found.pop(2), np.ndarray)
    assert found == {
        1: Fault("duplicate_sequence", "its rows are in 2 places of the file"),
        3: Fault("no_landmarks", "the metadata names it, the file has no row of it"),
    }
    place = "train_landmarks/1.parquet"
    assert writer.rejected == {7: [(Fault("no_metadata", "the metadata says train_landmarks/2.parquet"), place)]}


def test_clips_without_a_split_are_left_out_without_a_word(kaggle_data, recording):
    data = kaggle_data([recording(1), recording(2), recording(3, num_frames=0), recording(4, num_frames=0)])
    writer = collected(data, without=(1, 3))
    assert [entry.sequence_id for _, entry, _ in writer.taken] == [2, 4]
    assert not writer.rejected


def test_what_is_rejected(kaggle_data, recording, converted):
    recordings = [recording(1), recording(2, ""), recording(3, "  "), recording(4, "Zoë"), recording(5, num_frames=0)]
    recordings += [recording(6), recording(1, num_frames=2), recording(7), recording(99)]
    data = kaggle_data([*recordings, recording(8, file="train_landmarks/2.parquet")])
    # The metadata names 1 once, 7 in another file, and 99 not at all.
    rows = (data / "train.csv").read_text("utf-8").splitlines()
    other = ["train_landmarks/2.parquet,2,7,1,abc", "train_landmarks/2.parquet,2,8,1,abc\n"]
    (data / "train.csv").write_text("\n".join([*rows[:7], *other]), encoding="utf-8")
    found = converted(data, "--test-share", 0)
    assert ids(found) == [6, 8]
    assert sorted((row["sequence_id"], row["reason"]) for row in rejected(found)) == [
        (1, "duplicate_sequence"),
        (2, "empty_label"),
        (3, "empty_label"),
        (4, "unknown_characters"),
        (5, "no_landmarks"),
        (7, "no_landmarks"),  # it is not where the metadata says
        (7, "no_metadata"),
        (99, "no_metadata"),
    ]
    details = {row["sequence_id"]: (row["detail"], row["file"]) for row in rejected(found)}
    assert details[4] == ("'Zë' in 'Zoë'", "train_landmarks/1.parquet")
    assert details[99] == ("the metadata has no row of it", "train_landmarks/1.parquet")
    assert found.manifest["rejected"] == {
        "duplicate_sequence": 1,
        "empty_label": 2,
        "no_landmarks": 2,
        "no_metadata": 2,
        "unknown_characters": 1,
    }
    assert (found.manifest["read"], found.manifest["written"]) == (10, 2)


def test_the_whole_command(kaggle_data, example_recordings, tmp_path, capsys, command):
    words = ["--data", kaggle_data(), "--output", tmp_path / "out", "--workers", "1"]
    words += ["--test-signers", "3", "--validation-signers", "2"]
    command(convert, *words)
    said = capsys.readouterr().out
    assert re.search(r"12 clips read \(.* MB\), 12 written \(6 train, 3 validation, 3 test; .* MB\);", said)
    assert "rejected: none" in said
    found = Dataset.open(tmp_path / "out")
    assert found.task == TASK
    assert found.signers("train") == [1, 4]
    by_id = {each.sequence_id: each for each in example_recordings}
    for split in found.splits:
        for clip in found.read(split):
            each = by_id.pop(clip.sequence_id)
            assert clip.signer in found.signers(split)
            assert (clip.label, clip.signer) == (each.phrase, each.signer)
            np.testing.assert_array_equal(clip.landmarks, each.array())
    assert not by_id

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    command(convert, *words)
    assert capsys.readouterr().out.strip() == f"{tmp_path / 'out'} is already complete"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


def test_statistics_are_those_of_two_passes_over_all_shards(kaggle_data, example_recordings, converted):
    found = converted(kaggle_data(), "--test-signers", 3)
    train = [features(each.array(), POINTS) for each in example_recordings if each.signer != 3]
    values = np.concatenate(train).astype(np.float64).reshape(-1, 600)
    mean = np.nansum(values, axis=0) / np.isfinite(values).sum(axis=0)
    std = np.sqrt(np.nanmean(np.square(values - mean), axis=0))
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.std, std, rtol=1e-6)


def test_any_number_of_workers_and_any_path_gives_the_same(kaggle_data, tmp_path):
    data = kaggle_data()
    one = run(data, tmp_path / "one", workers=1)
    (tmp_path / "moved").mkdir()
    two = run(data.rename(tmp_path / "moved/data"), tmp_path / "two", workers=2)
    assert files(one.path) == files(two.path)
    for name in ("statistics.json", "request.json", "rejected.jsonl"):
        assert (one.path / name).read_bytes() == (two.path / name).read_bytes()
    assert one.fingerprint == two.fingerprint
    assert one.manifest["fingerprint"] == two.manifest["fingerprint"]


def test_any_number_of_shards_gives_the_same_records(kaggle_data, converted):
    data = kaggle_data()
    made = [converted(data, "--test-signers", 3, "--shards", number) for number in (1, 2, 3, 9)]
    assert [len(each.manifest["shards"]) for each in made] == [1, 2, 3, 3]
    assert len({each.fingerprint for each in made}) == 1
    assert len({each.manifest["fingerprint"] for each in made}) == 3
    for each in made:
        assert ids(each, "test") == [102, 106, 110]
        np.testing.assert_allclose(each.mean, made[0].mean, rtol=1e-6, atol=1e-6)
    assert converted(data, "--test-signers", 4).fingerprint != made[0].fingerprint


def test_going_on_makes_only_what_is_missing(kaggle_data, tmp_path):
    data, output = kaggle_data(), tmp_path / "out"
    whole = run(data, output)
    expected, statistics = files(output), (output / "statistics.json").read_bytes()
    (output / "manifest.json").unlink()
    (output / "reports/00001-of-00003.json").unlink()
    next((output / "shards").glob("train-00001*")).write_bytes(b"half")
    (output / "shards/.train-00001-of-00003.tfrecord.gz.12345678.tmp").write_bytes(b"left by a killed process")
    before = {path.name: path.stat().st_mtime_ns for path in (output / "shards").iterdir()}
    again = run(data, output)
    assert files(output) == expected
    assert (output / "statistics.json").read_bytes() == statistics
    after = {path.name: path.stat().st_mtime_ns for path in (output / "shards").iterdir()}
    assert {name for name in after if after[name] != before[name]} == {name for name in expected if "00001-of" in name}
    assert again.fingerprint == whole.fingerprint


def test_an_unreadable_file_leaves_the_rest_for_next_time(kaggle_data, tmp_path):
    data, output = kaggle_data(), tmp_path / "out"
    path = data / "train_landmarks/2.parquet"
    good = path.read_bytes()
    path.write_bytes(good[:-50] + bytes(50))
    with pytest.raises(UserError, match=r"cannot read .*2\.parquet as parquet \("):
        run(data, output)
    assert not (output / "manifest.json").exists()
    with pytest.raises(UserError, match="is unfinished"):
        Dataset.open(output)
    reports = sorted(path.name for path in (output / "reports").glob("*.json"))
    assert reports == ["00000-of-00003.json", "00002-of-00003.json"]
    path.write_bytes(good)
    found = run(data, output)
    assert found.manifest["written"] == 12


def test_a_file_that_vanishes_meanwhile(kaggle_data, tmp_path):
    data = kaggle_data()
    table = metadata.read(data, TASK.metadata)
    shard = sharding.Shard(0, 1, "fingerprint", tuple(table.paths), 0)
    sharding.prepare(tmp_path, [shard])
    (data / "train_landmarks/3.parquet").unlink()
    with pytest.raises(UserError, match=r"cannot read .*3\.parquet"):
        conversion.ConvertShard(data, data, tmp_path, TASK, tuple(table.sha256.items()), RULE)(shard)
    assert list((tmp_path / "shards").iterdir()) == list((tmp_path / "reports").iterdir()) == []


def test_sources_are_kept_apart_in_one_data_set(kaggle_data, example_recordings, converted):
    data = kaggle_data()
    rows = (data / "train.csv").read_text().splitlines(keepends=True)
    (data / "train.csv").write_text("".join(rows[:8]))
    (data / "supplemental_metadata.csv").write_text("".join([HEADER, *rows[8:]]))
    for words in (
        ["--metadata", "train.csv,supplemental_metadata.csv"],
        ["--metadata", "train.csv", "--metadata", "supplemental_metadata.csv"],
    ):
        found = converted(data, "--test-signers", 3, *words)
        sources = {each.sequence_id: each.source for split in found.splits for each in found.read(split)}
        assert sources == {
            each.sequence_id: "train" if index < 7 else "supplemental_metadata"
            for index, each in enumerate(example_recordings)
        }
    assert found.manifest["splits"]["train"]["clips_of_source"] == {"supplemental_metadata": 4, "train": 5}
    names = [name for name, _ in found.manifest["settings"]["metadata"]]
    assert names == ["train.csv", "supplemental_metadata.csv"]


def test_a_part_of_the_metadata_leaves_the_rest_of_a_file_without_metadata(kaggle_data, converted):
    data = kaggle_data()
    lines = (data / "train.csv").read_text().splitlines(keepends=True)
    (data / "train.csv").write_text("".join(lines[:7]))
    found = converted(data, "--test-signers", 3)
    assert ids(found) == [100, 101, 102, 103, 104, 105]
    assert found.manifest["rejected"] == {"no_metadata": 2}
    assert found.manifest["read"] == 8


def test_trials(kaggle_data, converted):
    data = kaggle_data()
    (data / "train_landmarks/3.parquet").unlink()  # a limited run needs only the files it reads
    found = converted(data, "--limit", 6, "--test-signers", 3)
    assert ids(found) == [100, 101, 102, 103, 104, 105]
    assert ids(found, "test") == [102]
    assert (found.manifest["read"], found.manifest["rejected"]) == (6, {})
    with pytest.raises(UserError, match=r"lacks train_landmarks/3\.parquet, of 3 files"):
        converted(data, "--signers", "2,4", "--test-signers", 4)


def test_a_subset_of_signers(kaggle_data, converted):
    found = converted(kaggle_data(), "--signers", "2,4", "--test-signers", 4)
    assert ids(found, "train") == [101, 105, 109]
    assert ids(found, "test") == [103, 107, 111]
    assert (found.manifest["read"], found.manifest["rejected"]) == (6, {})


def test_split_by_file(kaggle_data, converted):
    found = converted(kaggle_data(), "--validation-files", "train_landmarks/2.parquet", "--split-by", "file")
    assert ids(found, "validation") == [104, 105, 106, 107]
    assert len(ids(found, "test")) == len(ids(found, "train")) == 4
    assert found.signers("train") == [1, 2, 3, 4]
    assert found.manifest["overlap"]["train/validation"] == {
        "signers": 4,
        "clips": 0,
        "labels": 0,
        "clips_with_shared_label": 0,
    }


@pytest.mark.parametrize("by", ["signer", "clip"])
def test_folds(kaggle_data, converted, by):
    words = ["--split-by", by, "--test-share", 0, "--folds", 3, "--fold"]
    folds = [converted(kaggle_data(), *words, fold) for fold in (1, 2, 3)]
    assert sorted(i for found in folds for i in ids(found, "validation")) == list(range(100, 112))
    assert all(ids(found, "train", "validation") == list(range(100, 112)) for found in folds)
    shared = [found.manifest["overlap"]["train/validation"]["signers"] for found in folds]
    assert (max(shared) > 0) == (by == "clip")


def test_infinite_values_are_counted_and_missing(kaggle_data, recording, converted):
    landmarks = recording(1).array()
    landmarks[1, 3] = np.inf, -np.inf
    found = converted(kaggle_data([recording(1, landmarks=landmarks), recording(2, signer=2)]), "--test-signers", 2)
    (clip,) = found.read("train")
    assert np.isnan(clip.landmarks[1, 3]).all()
    assert found.manifest["infinite_values"] == 2


@pytest.mark.parametrize("odd", [9, 10, 11])
def test_what_looks_wrong_in_one_file_of_two(kaggle_data, recording, converted, capsys, odd):
    """Of a file of nine clips it is not said: of a few clips one may well be odd."""
    random = np.random.default_rng(0)
    scales = [1] * 12 + [1000] * odd
    recordings = [
        recording(
            i, f"word {i}", i % 3, f"train_landmarks/{scale}.parquet", landmarks=scale * random.random((4, 100, 2))
        )
        for i, scale in enumerate(scales)
    ]
    data = kaggle_data(recordings)
    found = converted(data, "--test-signers", 2)
    said = "in 1 of 2 shards, such as that of train_landmarks/1000.parquet, coordinates are probably pixels"
    assert len(found.manifest["complaints"]) == (odd >= 10)
    assert all(complaint.startswith(said) for complaint in found.manifest["complaints"])
    assert capsys.readouterr().err.count(f"{data}: {said}") == (odd >= 10)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--metadata", "other.csv"], r"has no other\.csv"),
        (["--metadata", "train.csv,train.csv"], "two have the same name"),
        (["--signers", "9"], "no signer 9 in the data"),
        (["--test-files", "9.parquet"], r"no file 9\.parquet in the data, which has train_landmarks/1\.parquet"),
        (["--folds", "3"], "3 folds, but not which of them validates"),
        (["--fold", "3"], "fold 3 without a number of folds"),
        (["--task", "fingerspeling"], r"no task 'fingerspeling' \(did you mean fingerspelling\?\)"),
    ],
)
def test_options_that_do_not_fit(kaggle_data, converted, words, message):
    with pytest.raises(UserError, match=message):
        converted(kaggle_data(), *words)


def test_another_character_map_is_refused(kaggle_data, converted):
    data = kaggle_data()
    (data / "character_to_prediction_index.json").write_text('{"a": 0}')
    with pytest.raises(UserError, match="is not the vocabulary of this program"):
        converted(data)


@pytest.mark.long
def test_memory_does_not_grow_with_the_file(tmp_path, kaggle_data, recording):
    """Peak memory of a process that makes one shard: of 30,000 frames, and of four times as many."""
    peaks = []
    for size in (1, 4):
        data = kaggle_data([recording(i, num_frames=200) for i in range(150 * size)], row_group_size=4000)
        code = f"""
import pathlib
from pipeline.beam import conversion
from pipeline.common.peak_memory import peak_memory
from pipeline.dataset import metadata, sharding
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.fingerspelling import Fingerspelling
data, output, task = pathlib.Path({str(data)!r}), pathlib.Path({str(tmp_path / f"out{size}")!r}), Fingerspelling()
table = metadata.read(data, task.metadata)
shard = sharding.Shard(0, 1, "memory", tuple(table.by_path), 1)
output.mkdir()
sharding.prepare(output, [shard])
conversion.ConvertShard(data, data, output, task, tuple(table.sha256.items()), SplitRule(test_share=0.0))(shard)
print(peak_memory())
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout))
    assert max(peaks) < 700e6
    assert peaks[1] < peaks[0] + 60e6
