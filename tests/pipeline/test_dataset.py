import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import dataset, directories, records, sharding
from pipeline import landmarks as lm
from pipeline.commands import UserError
from pipeline.dataset import Dataset
from pipeline.features import NUM_FEATURES, features
from pipeline.sequences import Sequence
from pipeline.sharding import RecordName, ShardWriter

names = st.text("abc/", min_size=1, max_size=5)


@given(st.dictionaries(names, st.integers(0, 1000), min_size=1), st.integers(1, 12))
def test_a_plan_divides_the_files(sizes, num_shards):
    plan = sharding.plan(sizes, num_shards)
    assert sorted(name for shard in plan for name in shard) == sorted(sizes)
    assert len(plan) == min(num_shards, len(sizes))
    assert all(shard == sorted(shard) and shard for shard in plan)
    assert plan == sharding.plan(dict(reversed(sizes.items())), num_shards)


def test_a_plan_is_balanced_by_bytes():
    assert sharding.plan({"a": 50, "b": 10, "c": 20, "d": 25}, 2) == [["a"], ["b", "c", "d"]]
    assert sharding.plan({"b": 1, "a": 99}, 2) == [["a"], ["b"]]


@given(st.sampled_from(["train", "validation", "test"]), st.integers(0, 99998), st.integers(1, 99999))
def test_record_names_are_parsed_back(split, index, total):
    if index < total:
        assert RecordName.parse(str(RecordName(split, index, total))) == RecordName(split, index, total)


@pytest.mark.parametrize(
    "name",
    ["train-00001-of-00001.tfrecord.gz", "../train-00000-of-00001.tfrecord.gz", "dev-00000-of-00001.tfrecord.gz"],
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="is no name of a record file"):
        RecordName.parse(name)


def sequence(sequence_id, participant_id=1):
    landmarks = np.random.default_rng(sequence_id).normal(size=(4, lm.NUM_POINTS, 2)).astype(np.float32)
    return Sequence(landmarks, f"label {sequence_id}", sequence_id, participant_id, "train")


def requested(shards, **more):
    return directories.Request("dataset", {"files": {"a": 1, "b": 1}, "shards": shards, **more})


@pytest.fixture
def made(tmp_path):
    """A dataset of two shards: 1, 2 (train), 3 (test) and a rejected 4; then 5 (train)."""
    path = tmp_path / "dataset"
    request = requested([["a"], ["b"]])
    assert not directories.prepare(path, request)
    first, second = shards = sharding.shards_of(request)
    assert sharding.prepare(path, shards) == {}
    with ShardWriter(path, first) as writer:
        writer.write("train", sequence(1))
        writer.write("test", sequence(3, 9))
        writer.write("train", sequence(2))
        writer.reject(4, "unknown_characters", file="a", detail="'é'")
    with ShardWriter(path, second) as writer:
        writer.write("train", sequence(5))
    reports = [sharding.finished_report(path, shard) for shard in shards]
    dataset.finish(path, request, reports, content={"more": 1})
    return path


def test_what_was_written_is_read(made):
    found = Dataset.open(made)
    assert found.splits == ["train", "test"]
    assert [each.sequence_id for each in found.read("train")] == [1, 2, 5]
    assert [each.label for each in found.read("test")] == ["label 3"]
    assert list(found.read("validation")) == []
    assert (found.count("train"), found.count("validation"), found.count("test")) == (3, 0, 1)
    assert found.participants("test") == [9]
    everything = np.concatenate([features(sequence(i).landmarks) for i in (1, 2, 5)])
    everything = everything.astype(np.float64).reshape(-1, NUM_FEATURES)
    np.testing.assert_allclose(found.mean, everything.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.std, everything.std(axis=0), rtol=1e-6)
    assert found.manifest["read"] == 5
    assert found.manifest["rejected"] == {"unknown_characters": 1}
    assert found.manifest["more"] == 1
    (rejected,) = (made / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(rejected) == {
        "sequence_id": 4,
        "reason": "unknown_characters",
        "file": "a",
        "detail": "'é'",
    }


def test_what_was_written_without_the_landmarks(made):
    found = Dataset.open(made)
    for split in ("train", "validation", "test"):
        read = [(each.sequence_id, each.participant_id, each.label, each.num_frames) for each in found.read(split)]
        written = found.written(split)
        assert [(each.sequence_id, each.participant_id, each.label, each.num_frames) for each in written] == read


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("{}")])
def test_a_report_that_is_missing_or_damaged(made, spoil):
    report = next((made / "reports").glob("*.json"))
    spoil(report)
    with pytest.raises(UserError, match=f"{report} is missing, damaged or of an earlier version: delete it"):
        Dataset.open(made).written("train")


def test_an_unfinished_or_foreign_directory_is_refused(made, tmp_path):
    manifest = json.loads((made / "manifest.json").read_text())
    for key, message in (
        ("points", "another list of points"),
        ("vocabulary", "another vocabulary"),
        ("task", "another task"),
    ):
        (made / "manifest.json").write_text(json.dumps(manifest | {key: "other"}))
        with pytest.raises(UserError, match=message):
            Dataset.open(made)
    (made / "manifest.json").write_text(json.dumps(manifest | {"kind": "score table"}))
    with pytest.raises(UserError, match="is a score table; expected a dataset"):
        Dataset.open(made)
    (made / "manifest.json").unlink()
    with pytest.raises(UserError, match="is unfinished"):
        Dataset.open(made)
    with pytest.raises(UserError, match="no such file or directory"):
        Dataset.open(tmp_path / "nowhere")


@pytest.mark.parametrize("content", ["{}", '{"mean": [1], "std": [1]}', '{"mean": null, "std": 1}', "not json"])
def test_bad_statistics_are_refused(made, content):
    (made / "statistics.json").write_text(content)
    with pytest.raises(UserError, match=r"statistics\.json"):
        Dataset.open(made)


def test_missing_and_short_record_files_are_found(made):
    found = Dataset.open(made)
    path = made / "shards" / "train-00000-of-00002.tfrecord.gz"
    path.unlink()
    with records.RecordWriter(path) as writer:
        writer.write(records.encode(sequence(1)))
    with pytest.raises(UserError, match=r"train-00000-of-00002.*its SHA-256 is not that of the file that was written"):
        list(found.read("train"))
    manifest = json.loads((made / "manifest.json").read_text())
    manifest["shards"][0]["files"][0]["file_sha256"] = writer.file_sha256
    manifest["shards"][0]["files"][0]["bytes"] = writer.size
    (made / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"train-00000-of-00002.* has 1 sequences, the manifest says 2"):
        list(Dataset.open(made).read("train"))
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read .*train-00000-of-00002"):
        list(found.read("train"))


def test_the_fingerprint_is_that_of_the_records(made):
    found = Dataset.open(made)
    assert found.fingerprint == Dataset.open(made).fingerprint
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["command"]
    assert found.fingerprint not in ("", manifest["fingerprint"])


def test_infinite_values_become_missing_and_are_counted(tmp_path):
    (shard,) = sharding.shards_of(requested([["a"]]))
    sharding.prepare(tmp_path, [shard])
    landmarks = sequence(1).landmarks
    landmarks[0, 0] = np.inf, -np.inf
    with ShardWriter(tmp_path, shard) as writer:
        writer.write("train", Sequence(landmarks, "a", 1, 1, "train"))
    report = sharding.finished_report(tmp_path, shard)
    assert report.infinite_values == 2
    (written,) = records.read_sequences(tmp_path / "shards" / report.files[0].name)
    assert np.isnan(written.landmarks[0, 0]).all()
    assert np.count_nonzero(np.isnan(written.landmarks)) == 2


def test_a_shard_is_done_only_as_a_whole(tmp_path):
    (shard,) = sharding.shards_of(requested([["a"]]))
    sharding.prepare(tmp_path, [shard])
    with pytest.raises(RuntimeError), ShardWriter(tmp_path, shard) as writer:
        writer.write("train", sequence(1))
        raise RuntimeError
    assert not list((tmp_path / "shards").iterdir())
    assert sharding.finished_report(tmp_path, shard) is None
    with ShardWriter(tmp_path, shard) as writer:
        writer.write("train", sequence(1))
    assert sharding.finished_report(tmp_path, shard).written == 1
    (other,) = sharding.shards_of(requested([["a"]], other=1))
    assert sharding.finished_report(tmp_path, other) is None
    (file,) = (tmp_path / "shards").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert sharding.finished_report(tmp_path, shard) is None


def test_nothing_to_train_on(tmp_path):
    request = requested([["a"]])
    (shard,) = sharding.shards_of(request)
    sharding.prepare(tmp_path, [shard])
    with ShardWriter(tmp_path, shard) as writer:
        writer.reject(1, "empty_label")
    with pytest.raises(UserError, match="no sequence to train on: 1 read, 0 written, 1 empty_label"):
        dataset.finish(tmp_path, request, [sharding.finished_report(tmp_path, shard)], content={})
    assert not (tmp_path / "manifest.json").exists()
