import errno
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.common import directories, storage
from pipeline.common.errors import UserError
from pipeline.dataset import records, sharding
from pipeline.dataset.metadata import Entry
from pipeline.dataset.sharding import RecordName, ShardReport, ShardWriter
from pipeline.dataset.symptoms import Symptoms
from pipeline.tasks.body import POINTS
from pipeline.tasks.faults import DUPLICATE, EMPTY_LABEL, Fault
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()

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
    with pytest.raises(ValueError, match="is not the name of a record file"):
        RecordName.parse(name)


def requested(**more):
    return directories.Request("dataset", {"files": {"a": 7, "b": 2, "c": 1}, "shards": [["a"], ["b", "c"]], **more})


def test_shards_of_a_request():
    first, second = sharding.shards_of(requested())
    assert (str(first), first.files, first.bytes) == ("00000-of-00002", ("a",), 7)
    assert (str(second), second.files, second.bytes) == ("00001-of-00002", ("b", "c"), 3)
    others = sharding.shards_of(requested(more=1))
    assert len({shard.fingerprint for shard in (first, second, *others)}) == 4


def test_workers_read_the_plan_where_it_is(tmp_path):
    request = requested()
    directories.prepare(tmp_path, request)
    assert sharding.planned(tmp_path, request.fingerprint) == sharding.shards_of(request)
    with pytest.raises(UserError, match="was claimed for something else meanwhile: choose another directory"):
        sharding.planned(tmp_path, requested(more=1).fingerprint)


@pytest.fixture
def shard(tmp_path):
    """The first of two; the folders it is written to are there."""
    shards = sharding.shards_of(requested())
    assert sharding.prepare(tmp_path, shards) == {}
    return shards[0]


def entry(sequence_id, label="abc"):
    return Entry("a.parquet", sequence_id, 1, label, "train")


def test_a_report_tells_what_became_of_every_clip(tmp_path, shard, clip):
    with ShardWriter(tmp_path, shard, TASK) as writer:
        writer.write("train", clip(1))
        writer.write("test", clip(2, 9))
        writer.write("train", clip(3), symptoms=Symptoms(infinite_values=5))
        writer.reject(4, Fault(DUPLICATE, "twice"), file="a", score=0.5)
    report = sharding.finished_report(tmp_path, shard)
    assert (report.read, report.written, report.bytes_read, report.infinite_values) == (4, 3, 7, 5)
    assert [(file.split, file.clips) for file in report.files] == [("train", 2), ("test", 1)]
    assert [each.sequence_id for each in report.clips] == [1, 2, 3]
    assert report.rejected == [
        {"sequence_id": 4, "reason": "duplicate_sequence", "detail": "twice", "file": "a", "score": 0.5}
    ]
    assert report.reasons == {"duplicate_sequence": 1}
    assert report.moments.count.max() == 8  # of the training split's frames
    for file in report.files:
        content = (tmp_path / "shards" / file.name).read_bytes()
        assert len(content) == file.bytes


def test_a_row_of_the_metadata_is_written_or_rejected(tmp_path, shard):
    landmarks = np.full((2, *POINTS.shape), 0.5, np.float32)
    landmarks[0, 0] = np.inf, -np.inf
    with ShardWriter(tmp_path, shard, TASK) as writer:
        writer.take("train", entry(1), landmarks)
        writer.take("train", entry(2, ""), landmarks)
        writer.take("test", entry(3), Fault(DUPLICATE, "twice"))
    report = sharding.finished_report(tmp_path, shard)
    assert [(each["sequence_id"], each["reason"], each["file"]) for each in report.rejected] == [
        (2, EMPTY_LABEL, "a.parquet"),
        (3, DUPLICATE, "a.parquet"),
    ]
    assert report.infinite_values == 2
    (written,) = records.read_clips(tmp_path / "shards" / report.files[0].name, POINTS.shape)
    assert np.isnan(written.landmarks[0, 0]).all()
    assert np.count_nonzero(np.isnan(written.landmarks)) == 2


def test_a_report_survives_json(tmp_path, shard, clip):
    with ShardWriter(tmp_path, shard, TASK) as writer:
        writer.write("train", clip(1))
        writer.reject(4, Fault(DUPLICATE, "é"))
    report = sharding.finished_report(tmp_path, shard)
    again = ShardReport.from_json(json.loads(json.dumps(report.as_json())))
    assert again.as_json() == report.as_json()
    assert again.summary() == report.summary()
    assert not {"clips", "moments"} & report.summary().keys()


def test_a_shard_is_done_only_as_a_whole(tmp_path, shard, clip):
    with pytest.raises(RuntimeError), ShardWriter(tmp_path, shard, TASK) as writer:
        writer.write("train", clip(1))
        raise RuntimeError
    assert not list((tmp_path / "shards").iterdir())
    assert sharding.finished_report(tmp_path, shard) is None
    with ShardWriter(tmp_path, shard, TASK) as writer:
        writer.write("train", clip(1))
        assert sharding.finished_report(tmp_path, shard) is None
    assert sharding.finished_report(tmp_path, shard).written == 1
    other, _ = sharding.shards_of(requested(other=1))
    assert sharding.finished_report(tmp_path, other) is None
    (file,) = (tmp_path / "shards").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    assert sharding.finished_report(tmp_path, shard) is None


def test_what_is_finished_meanwhile_is_found(tmp_path, shard, clip):
    shards = sharding.shards_of(requested())
    reports = {}
    with ShardWriter(tmp_path, shard, TASK) as writer:
        writer.write("train", clip(1))
        sharding.add_finished(tmp_path, shards, reports)
        assert reports == {}
    sharding.add_finished(tmp_path, shards, reports)
    assert list(reports) == [shard]
    found = reports[shard]
    sharding.add_finished(tmp_path, shards, reports)
    assert reports[shard] is found


def test_what_was_left_unfinished_is_cleared_away(tmp_path, shard, clip):
    shards = sharding.shards_of(requested())
    with ShardWriter(tmp_path, shard, TASK) as writer:
        writer.write("train", clip(1))
    for left in ("reports/00001-of-00002.json", "reports/00001-of-00002.error", "shards/.a.0123abcd.tmp"):
        (tmp_path / left).write_text("{}")
    assert list(sharding.prepare(tmp_path, shards)) == [shard]
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert left == ["reports/00000-of-00002.json", "shards/train-00000-of-00002.tfrecord.gz"]


def test_a_report_that_cannot_be_written(tmp_path, shard, monkeypatch):
    def refuse(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(directories, "replacing", refuse)
    with (
        pytest.raises(UserError, match=rf"^cannot write to {tmp_path}: No space left on device"),
        ShardWriter(tmp_path, shard, TASK),
    ):
        pass
    assert storage.file_sizes(tmp_path / "reports") == {}
