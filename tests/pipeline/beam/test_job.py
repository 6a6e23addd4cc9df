import json

import pytest

from pipeline.beam import conversion, job
from pipeline.beam.runners import Runner
from pipeline.common import directories, processes, progress
from pipeline.common.errors import UserError
from pipeline.dataset import dataset, metadata, sharding
from pipeline.dataset.dataset import Dataset
from pipeline.dataset.sharding import ShardWriter
from pipeline.dataset.splits import SplitRule
from pipeline.tasks.faults import EMPTY_LABEL, NO_METADATA, Fault
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()
RULE = SplitRule()


def request(**changes):
    settings = {"files": {"a": 1, "b": 1}, "shards": [["a"], ["b"]], "split": RULE.as_json()}
    return directories.Request(dataset.KIND, settings | changes)


class Make:
    """Makes shards with one rejected clip and, in the first, one clip to train on."""

    def __init__(self, output, clip=None):
        self.output = output
        self.clip = clip

    def __call__(self, shard):
        with ShardWriter(self.output, shard, TASK) as writer:
            writer.reject(shard.index, Fault(EMPTY_LABEL, "its phrase is empty"))
            if self.clip and not shard.index:
                writer.take("train", *self.clip)


def make(output, clip=None, **options):
    words = {"clips": 3, "title": "testing", "runner": Runner()}
    return job.make_dataset(output, request(), Make(output, clip), TASK, **words | options)


@pytest.fixture
def clip(recording):
    return metadata.Entry("a", 7, 1, "abc", "train"), recording(7).array()


def test_from_input_files_to_a_complete_data_set(tmp_path, clip):
    manifest = make(tmp_path, clip, rejected_name="dropped.jsonl", content=lambda reports: {"more": len(reports)})
    assert Dataset.open(tmp_path).manifest == manifest
    assert (manifest["read"], manifest["written"], manifest["rejected"]) == (3, 1, {"empty_label": 2})
    assert (manifest["task"], manifest["more"], manifest["rejected_file"]) == (TASK.as_json(), 2, "dropped.jsonl")
    assert {"python", "google.protobuf", "numpy", "pyarrow", "isal"} == manifest["versions"].keys()
    assert len((tmp_path / "dropped.jsonl").read_text().splitlines()) == 2
    assert make(tmp_path, clip) is None


def test_nothing_to_train_on(tmp_path):
    with pytest.raises(UserError, match=r"no clip to train on: 2 read, 0 written, 2 empty_label; .* stays incomplete"):
        make(tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    assert not (tmp_path / "statistics.json").exists()


def test_the_reports_are_checked_before_the_data_set_is_complete(tmp_path, clip):
    def check(reports):
        assert [report.read for report in reports] == [2, 1]
        raise RuntimeError("they do not add up")

    with pytest.raises(RuntimeError, match="they do not add up"):
        make(tmp_path, clip, check=check)
    assert not (tmp_path / "manifest.json").exists()


def test_metadata_that_changes_meanwhile(kaggle_data):
    data = kaggle_data()
    sha256 = tuple(metadata.read(data, TASK.metadata).sha256.items())
    assert len(conversion.read_metadata(data, TASK, sha256).entries) == 12
    with (data / "train.csv").open("a") as file:
        file.write("train_landmarks/3.parquet,3,999,1,new\n")
    with pytest.raises(UserError, match=r"train\.csv changed while it was converted: start again"):
        conversion.read_metadata(data, TASK, sha256)


def test_files_that_are_missing_or_that_nothing_names(kaggle_data):
    data = kaggle_data()
    (data / "train_landmarks/77.parquet").write_bytes(b"")
    (data / "train_landmarks/readme.txt").write_bytes(b"")
    table = metadata.read(data, TASK.metadata)
    with progress.console.capture() as captured:
        sizes = conversion.input_sizes(data, table, table.by_path)
    assert "1 files are not in train.csv and ignored: train_landmarks/77.parquet" in captured.get()
    assert sizes == {path: (data / path).stat().st_size for path in table.paths}
    for number in (1, 3):
        (data / f"train_landmarks/{number}.parquet").unlink()
    assert list(conversion.input_sizes(data, table, ["train_landmarks/2.parquet"])) == ["train_landmarks/2.parquet"]
    with pytest.raises(UserError, match=r"lacks train_landmarks/1\.parquet and 1 more, of 3 files that train\.csv"):
        conversion.input_sizes(data, table, table.by_path)


def test_all_that_decides_the_content_is_asked_for(kaggle_data):
    data = kaggle_data()
    table = metadata.read(data, TASK.metadata)
    sizes = dict.fromkeys(table.paths, 5)

    def fingerprint(made_from="parquet", table=table, sizes=sizes, num_shards=3, rule=RULE):
        return conversion.request(made_from, TASK, table, sizes, num_shards=num_shards, rule=rule).fingerprint

    other = metadata.Metadata({"train.csv": "0" * 64}, table.entries)
    found = [
        fingerprint(),
        fingerprint("tfrecords"),
        fingerprint(table=other),
        fingerprint(sizes=sizes | {table.paths[0]: 6}),
        fingerprint(num_shards=2),
        fingerprint(rule=SplitRule(test_share=0.2)),
    ]
    assert len(set(found)) == len(found)
    assert fingerprint(num_shards=99) == fingerprint()


def test_accounts_are_by_clip_in_both_directions(tmp_path, clip):
    shard, _ = sharding.shards_of(request())
    sharding.prepare(tmp_path, [shard])
    entry, landmarks = clip
    with ShardWriter(tmp_path, shard, TASK) as writer:
        writer.take("train", entry, landmarks)
        writer.reject(8, Fault(EMPTY_LABEL, ""))
        writer.reject(9, Fault(NO_METADATA, ""))
    report = sharding.finished_report(tmp_path, shard)
    conversion.check_accounts([report], [8, 7])
    for used in ([7], [7, 8, 9], [7, 9], [7, 8, 8], []):
        with pytest.raises(RuntimeError, match=f"has {len(used)} clips, but 1 were written and 1 rejected"):
            conversion.check_accounts([report], used)


def test_what_is_said_of_a_data_set(tmp_path, clip, capsys, monkeypatch):
    manifest = json.loads(json.dumps(make(tmp_path, clip)))
    conversion.tell(tmp_path, manifest)
    said, advice = capsys.readouterr().out.splitlines()
    assert said.startswith(f"{tmp_path}: 3 clips read (0.0 MB), 1 written (1 train, 0 validation, 0 test; 0.0 MB)")
    assert said.endswith("; rejected: 2 empty_label")
    assert advice == f"next: python -m training.train --dataset {tmp_path} --output RUN --preset fast"
    manifest["task"]["name"] = "isolated-signs"
    for signers, folds in (([1, 2], ""), ([1, 2, 3], " --set data.folds=3 --set data.fold=1")):
        manifest["splits"]["train"]["signers"] = signers
        conversion.tell(tmp_path, manifest)
        assert capsys.readouterr().out.endswith(f" --preset signs-small{folds}\n")
    monkeypatch.setenv(processes.CALLED, "1")
    conversion.tell(tmp_path, manifest)
    assert capsys.readouterr().out.splitlines() == [said]  # the caller says what comes next
