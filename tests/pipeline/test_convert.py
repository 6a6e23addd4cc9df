import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pytest

from pipeline import commands, conversion, convert, metadata, records, sharding
from pipeline import landmarks as lm
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.features import NUM_FEATURES, features
from pipeline.runners import Runner
from pipeline.splits import SplitRule

RULE = SplitRule(test_participants=(3,))


def run(data, output, *, rule=RULE, num_shards=None, workers=1):
    convert.convert(data, output, rule, num_shards=num_shards, runner=Runner(workers=workers))
    return Dataset.open(output)


def files(directory):
    return {path.name: path.read_bytes() for path in sorted((directory / "shards").iterdir())}


@dataclasses.dataclass
class Collected:
    """Stands in for a `ShardWriter`."""

    written: list = dataclasses.field(default_factory=list)
    rejected: dict = dataclasses.field(default_factory=dict)

    def write(self, split, sequence):
        self.written.append((split, sequence))

    def reject(self, sequence_id, reason, *, file, detail):
        self.rejected.setdefault(sequence_id, []).append((reason, file, detail))


def converted(data, path="train_landmarks/1.parquet"):
    table = metadata.read(data)
    writer = Collected()
    convert.convert_file(data, path, table, dict.fromkeys(table.entries, "train"), writer)
    return writer


def test_what_is_kept(kaggle_data, recording):
    one_frame = recording(1, num_frames=1)
    all_missing = recording(2, landmarks=np.full((3, lm.NUM_POINTS, 2), np.nan, np.float32))
    plain = recording(3, "it's 1/2!", participant_id=8, num_frames=30)
    writer = converted(kaggle_data([one_frame, all_missing, plain]))
    assert not writer.rejected
    for (split, sequence), each in zip(writer.written, [one_frame, all_missing, plain], strict=True):
        assert split == "train"
        np.testing.assert_array_equal(sequence.landmarks, each.array())
        assert (sequence.label, sequence.participant_id, sequence.source) == (each.phrase, each.participant_id, "train")


def test_what_is_rejected(kaggle_data, recording):
    other_file = "train_landmarks/2.parquet"
    data = kaggle_data(
        [
            recording(1),
            recording(2, ""),
            recording(3, "  "),
            recording(4, "Zoë"),
            recording(5, num_frames=0),
            recording(6),
            recording(1, num_frames=2),
            recording(7),
            recording(99),
        ]
    )
    # The metadata names 1 once, 7 in another file, and 99 not at all.
    rows = (data / "train.csv").read_text(encoding="utf-8").splitlines()
    (data / "train.csv").write_text("\n".join([*rows[:7], f"{other_file},2,7,1,abc\n"]), encoding="utf-8")
    writer = converted(data)
    assert [sequence.sequence_id for _, sequence in writer.written] == [6]
    reasons = {sequence_id: [reason for reason, *_ in each] for sequence_id, each in writer.rejected.items()}
    assert reasons == {
        1: ["duplicate_sequence"],
        2: ["empty_label"],
        3: ["empty_label"],
        4: ["unknown_characters"],
        5: ["no_landmarks"],
        7: ["no_metadata"],
        99: ["no_metadata"],
    }
    assert writer.rejected[4][0][2] == "'Zë' in 'Zoë'"
    assert other_file in writer.rejected[7][0][2]


def test_the_whole_command(kaggle_data, example_recordings, tmp_path, capsys, monkeypatch):
    data = kaggle_data()
    arguments = ["convert", "--data", str(data), "--output", str(tmp_path / "out"), "--workers", "1"]
    arguments += ["--test-participants", "3", "--validation-participants", "2"]
    monkeypatch.setattr(sys, "argv", arguments)
    convert.main()
    said = capsys.readouterr().out
    assert re.search(r"12 sequences read \(.* MB\), 12 written \(6 train, 3 validation, 3 test; .* MB\);", said)
    assert "rejected: none" in said
    found = Dataset.open(tmp_path / "out")
    assert found.participants("train") == [1, 4]
    by_id = {each.sequence_id: each for each in example_recordings}
    for split in found.splits:
        for sequence in found.read(split):
            each = by_id.pop(sequence.sequence_id)
            assert sequence.participant_id in found.participants(split)
            assert (sequence.label, sequence.participant_id) == (each.phrase, each.participant_id)
            np.testing.assert_array_equal(sequence.landmarks, each.array())
    assert not by_id

    everything = [features(each.array()) for each in example_recordings if each.participant_id in (1, 4)]
    values = np.concatenate(everything).astype(np.float64).reshape(-1, NUM_FEATURES)
    np.testing.assert_allclose(found.mean, np.nanmean(values, axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.std, np.nanstd(values, axis=0), rtol=1e-6)

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    convert.main()
    assert capsys.readouterr().out.strip() == f"{tmp_path / 'out'} is already complete"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before


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


def test_fewer_shards_than_files(kaggle_data, tmp_path):
    found = run(kaggle_data(), tmp_path / "out", num_shards=2)
    assert len(found.manifest["shards"]) == 2
    assert sum(found.count(split) for split in found.splits) == 12


def test_going_on_makes_only_what_is_missing(kaggle_data, tmp_path, monkeypatch):
    data, output = kaggle_data(), tmp_path / "out"
    whole = run(data, output)
    expected, statistics = files(output), (output / "statistics.json").read_bytes()
    (output / "manifest.json").unlink()
    (output / "reports/00001-of-00003.json").unlink()
    next((output / "shards").glob("train-00001*")).write_bytes(b"half")
    (output / "shards/.train-00001-of-00003.tfrecord.gz.123.tmp").write_bytes(b"left by a killed process")
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
    assert sorted(path.name for path in (output / "reports").glob("*.json")) == [
        "00000-of-00003.json",
        "00002-of-00003.json",
    ]
    path.write_bytes(good)
    found = run(data, output)
    assert found.manifest["written"] == 12


def test_rejections_are_listed_and_counted(kaggle_data, recording, example_recordings, tmp_path):
    data = kaggle_data([*example_recordings, recording(7, "É", 4), recording(8, "", 4), recording(9, num_frames=0)])
    found = run(data, tmp_path / "out")
    assert found.manifest["rejected"] == {"empty_label": 1, "no_landmarks": 1, "unknown_characters": 1}
    assert (found.manifest["read"], found.manifest["written"]) == (15, 12)
    listed = [json.loads(line) for line in (tmp_path / "out/rejected.jsonl").read_text("utf-8").splitlines()]
    assert sorted(each["sequence_id"] for each in listed) == [7, 8, 9]
    assert all(each["file"] == "train_landmarks/1.parquet" for each in listed)


def test_a_file_that_nothing_names_is_mentioned(kaggle_data):
    data = kaggle_data()
    (data / "train_landmarks/77.parquet").write_bytes(b"")
    with commands.console.capture() as captured:
        table = metadata.read(data)
        assert len(conversion.input_sizes(data, table, table.by_path)) == 3
    assert "1 files are not in train.csv and ignored: train_landmarks/77.parquet" in captured.get()


def test_records_can_be_read_by_split_and_shard(kaggle_data, tmp_path):
    found = run(kaggle_data(), tmp_path / "out")
    for split in found.splits:
        by_file = [
            sequence.sequence_id
            for file in found.record_files(split)
            for sequence in records.read_sequences(found.path / "shards" / file.name)
        ]
        assert by_file == [sequence.sequence_id for sequence in found.read(split)]
    assert sharding.RecordName.parse(found.record_files("train")[0].name).index == 0


@pytest.mark.long
def test_memory_does_not_grow_with_the_file(tmp_path, kaggle_data, recording):
    """Peak memory of a process that makes one shard: of 30,000 frames, and of four times as many."""
    peaks = []
    for size in (1, 4):
        data = kaggle_data([recording(i, num_frames=200) for i in range(150 * size)], row_group_size=4000)
        code = f"""
import pathlib
from pipeline import convert, metadata, sharding
from pipeline.splits import SplitRule
data, output = pathlib.Path({str(data)!r}), pathlib.Path({str(tmp_path / f"out{size}")!r})
table = metadata.read(data)
shard = sharding.Shard(0, 1, "memory", tuple(table.by_path), 1)
output.mkdir()
sharding.prepare(output, [shard])
convert.ConvertShard(data, output, tuple(table.sha256.items()), SplitRule(test_share=0.0))(shard)
# Not ru_maxrss: Linux counts what the process that started this one held.
print(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout) << 10)
    assert max(peaks) < 700e6
    assert peaks[1] < peaks[0] + 60e6
