import dataclasses
import json

import numpy as np
import pytest

from pipeline.common import directories
from pipeline.common.errors import UserError
from pipeline.dataset import records
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.features import features
from pipeline.tasks.body import POINTS
from pipeline.tasks.faults import UNKNOWN_CHARACTERS, Fault


@pytest.fixture
def found(make_dataset, clip):
    """A dataset of two shards: 1, 2 (train), 3 (test) and a rejected 4; then 5 (train)."""
    fault = Fault(UNKNOWN_CHARACTERS, "'é'")
    return make_dataset(
        [("train", clip(1)), ("test", clip(3, 9)), ("train", clip(2)), (4, fault)], [("train", clip(5))]
    )


def edit(path, **changes):
    manifest = json.loads((path / "manifest.json").read_text())
    directories.write_json(path / "manifest.json", manifest | changes)


def test_what_was_written_is_read(found, clip):
    assert found.splits == ["train", "test"]
    assert [each.sequence_id for each in found.read("train")] == [1, 2, 5]
    assert [each.label for each in found.read("test")] == ["label 3"]
    assert list(found.read("validation")) == []
    by_file = [[each.sequence_id for each in found.read_file(file)] for file in found.record_files("train")]
    assert by_file == [[1, 2], [5]]
    assert (found.count("train"), found.count("validation"), found.count("test")) == (3, 0, 1)
    assert found.signers("test") == [9]
    everything = np.concatenate([features(clip(i).landmarks, POINTS) for i in (1, 2, 5)])
    everything = everything.astype(np.float64).reshape(-1, 600)
    np.testing.assert_allclose(found.mean, everything.mean(axis=0), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.std, everything.std(axis=0), rtol=1e-6)
    assert found.manifest["read"] == 5
    assert found.manifest["rejected"] == {"unknown_characters": 1}
    assert found.manifest["more"] == 2
    (rejected,) = (found.path / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(rejected) == {"sequence_id": 4, "reason": "unknown_characters", "file": "a", "detail": "'é'"}


def test_what_there_is_to_know_without_the_landmarks(found):
    for split in ("train", "validation", "test"):
        read = [(each.sequence_id, each.signer, each.label, each.num_frames) for each in found.read(split)]
        clips = found.clips(split)
        assert [(each.sequence_id, each.signer, each.label, each.num_frames) for each in clips] == read
        assert {each.split for each in clips} <= {split}


@pytest.mark.parametrize(
    "spoil", [lambda path: path.unlink(), lambda path: path.write_text("{}"), lambda path: path.write_text("[")]
)
def test_a_report_that_is_missing_or_damaged(found, spoil):
    report = min((found.path / "reports").glob("*.json"))
    spoil(report)
    with pytest.raises(UserError, match=f"^{report} is missing or damaged: delete it and its dataset's manifest"):
        Dataset.open(found.path).clips("train")


def test_a_report_of_another_shard(found):
    first, second = sorted((found.path / "reports").glob("*.json"))
    first.write_bytes(second.read_bytes())
    with pytest.raises(UserError, match=f"^{first} is missing or damaged"):
        Dataset.open(found.path).clips("train")


def test_an_unfinished_or_foreign_directory_is_refused(found, tmp_path):
    path, manifest = found.path, (found.path / "manifest.json").read_text()
    for changes, message in (
        ({"task": found.manifest["task"] | {"points": []}}, "its task fingerspelling has other points"),
        ({"task": "fingerspelling"}, r"^\S*manifest\.json: its task is damaged"),
        ({"kind": "score table"}, r"is a score table; expected a dataset, which pipeline\.convert makes"),
        ({"schema_version": 1}, r"is a dataset of another version .*\(schema version 1, .*: delete it and make it"),
    ):
        edit(path, **changes)
        with pytest.raises(UserError, match=message):
            Dataset.open(path)
        (path / "manifest.json").write_text(manifest)
    assert Dataset.open(str(path)).fingerprint == found.fingerprint
    (path / "manifest.json").unlink()
    with pytest.raises(UserError, match="is unfinished"):
        Dataset.open(path)
    with pytest.raises(UserError, match="no such file or directory"):
        Dataset.open(tmp_path / "nowhere")


@pytest.mark.parametrize("shards", [None, [{}], [{"files": [{"name": "a"}]}]])
def test_a_manifest_whose_shards_are_none(found, shards):
    edit(found.path, shards=shards)
    with pytest.raises(UserError, match=r"manifest\.json is damaged \(.*\): delete .* and make it again"):
        Dataset.open(found.path)


@pytest.mark.parametrize("content", ["{}", '{"mean": [1], "std": [1]}', '{"mean": null, "std": 1}', "not json"])
def test_bad_statistics_are_refused(found, content):
    (found.path / "statistics.json").write_text(content)
    with pytest.raises(UserError, match=r"statistics\.json"):
        Dataset.open(found.path)


def test_missing_and_short_record_files_are_found(found, clip):
    path = found.path / "shards" / "train-00000-of-00002.tfrecord.gz"
    path.unlink()
    with records.RecordWriter(path) as writer:
        writer.write(records.encode(clip(1)))
    with pytest.raises(UserError, match=r"train-00000-of-00002.*its SHA-256 is not that of the file that was written"):
        list(found.read("train"))
    with pytest.raises(UserError, match=rf"^{path} has \d+ bytes, the manifest says \d+: cut short"):
        Dataset.open(found.path)
    shards = json.loads((found.path / "manifest.json").read_text())["shards"]
    shards[0]["files"][0] |= {"file_sha256": writer.file_sha256, "bytes": writer.size}
    edit(found.path, shards=shards)
    with pytest.raises(UserError, match=r"train-00000-of-00002.* has 1 clips, the manifest says 2"):
        list(Dataset.open(found.path).read("train"))
    path.unlink()
    with pytest.raises(UserError, match=r"cannot read .*train-00000-of-00002"):
        list(found.read("train"))
    with pytest.raises(UserError, match=rf"^{path} is not there"):
        Dataset.open(found.path)


def test_the_fingerprint_is_that_of_the_records_however_they_are_divided(make_dataset, clip):
    clips = [("train", clip(1)), ("test", clip(2)), ("train", clip(3)), ("validation", clip(4))]
    made = [
        make_dataset(clips, name="one"),
        make_dataset(clips[:2], clips[2:], name="two"),
        make_dataset(clips[::-1], name="the other way round"),
        make_dataset(*([each] for each in clips), name="four"),
    ]
    assert len({each.fingerprint for each in made}) == 1
    assert len({each.manifest["fingerprint"] for each in made}) == 3  # what was asked for; the first and third the same
    moved = [("validation", clip(1)), *clips[1:]]
    changed = [("train", dataclasses.replace(clip(1), label="other")), *clips[1:]]
    others = [make_dataset(each, name=f"other {i}") for i, each in enumerate((clips[:3], moved, changed))]
    assert len({each.fingerprint for each in (made[0], *others)}) == 4
