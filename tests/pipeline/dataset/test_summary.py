import json

import pytest

from pipeline.dataset import summary
from pipeline.dataset.clips import ClipInfo
from pipeline.dataset.moments import Moments
from pipeline.dataset.records import Content
from pipeline.dataset.sharding import RecordFile, ShardReport
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()


def clip(sequence_id, split, signer, label, num_frames=4, unseen=1, source="train"):
    return ClipInfo(sequence_id, split, signer, source, label, num_frames, unseen, True)


CLIPS = [
    clip(1, "train", 7, "hello", 10),
    clip(2, "train", 7, "bye", 20, 5, "supplemental"),
    clip(3, "train", 8, "again", 60),
    clip(4, "validation", 8, "hello"),
    clip(5, "validation", 9, "hello"),
    clip(6, "test", 10, "new"),
]


def report(clips, rejected=(), shard="00000-of-00001"):
    """Each clip's record is its id."""
    files = []
    for split in ("train", "validation", "test"):
        of_split = [each for each in clips if each.split == split]
        content = Content()
        for each in of_split:
            content.add(bytes([each.sequence_id]))
        if of_split:
            files.append(RecordFile(f"{split}-{shard}.tfrecord.gz", split, len(of_split), 100, str(content), "0" * 64))
    rejected = [{"sequence_id": i, "reason": reason} for i, reason in rejected]
    read = len(clips) + len(rejected)
    return ShardReport(shard, "f", "", files, list(clips), 1000, read, rejected, 2, Moments.none(600))


def fold(*reports):
    return summary.fold_reports(list(reports), TASK)


def test_what_splits_hold():
    found = fold(report(CLIPS))["splits"]
    assert list(found) == ["train", "validation", "test"]
    train = found["train"]
    assert (train["clips"], train["signers"]) == (3, [7, 8])
    assert train["clips_of_signer"] == {"7": 2, "8": 1}
    assert train["clips_of_source"] == {"supplemental": 1, "train": 2}
    assert (train["frames"], train["frames_unseen"]) == (90, 7)
    assert train["frames_per_clip"] == {
        "mean": 30.0,
        "min": 10,
        "p1": 10.2,
        "p5": 11.0,
        "p50": 20.0,
        "p95": 56.0,
        "p99": 59.2,
        "max": 60,
    }
    assert train["units_per_clip"]["mean"] == 4.33
    nothing = fold(report([]))["splits"]["test"]
    assert (nothing["clips"], nothing["signers"], nothing["frames_per_clip"]) == (0, [], {})


def test_what_splits_share():
    shared = {"signers": 1, "clips": 0, "labels": 1, "clips_with_shared_label": 2}
    assert fold(report(CLIPS))["overlap"] == {
        "train/validation": shared,
        "train/test": dict.fromkeys(shared, 0),
        "validation/test": dict.fromkeys(shared, 0),
    }
    assert fold(report(CLIPS[:3]))["overlap"] == {}


def test_what_shards_add_up_to():
    first = report(CLIPS[:4], [(7, "low_score"), (8, "empty_label")], "00000-of-00002")
    second = report(CLIPS[4:], [(9, "low_score")], "00001-of-00002")
    found = fold(first, second)
    assert (found["read"], found["written"], found["rejected"]) == (9, 6, {"empty_label": 1, "low_score": 2})
    assert (found["bytes_read"], found["bytes_written"], found["infinite_values"]) == (2000, 400, 4)
    assert found["shards"] == [first.summary(), second.summary()]
    lines = [json.loads(line) for line in summary.rejected_lines([first, second]).splitlines()]
    assert [each["sequence_id"] for each in lines] == [7, 8, 9]


def test_the_content_is_that_of_the_splits_however_the_clips_are_divided():
    whole = fold(report(CLIPS))["content"]
    assert fold(report(CLIPS[::-1]))["content"] == whole
    assert fold(report(CLIPS[::2], [(9, "low_score")]), report(CLIPS[1::2]))["content"] == whole
    assert fold(report(CLIPS[:5]))["content"] != whole
    moved = [*CLIPS[:5], clip(6, "validation", 10, "new")]
    assert fold(report(moved))["content"] != whole


def test_the_content_is_also_the_task_s(monkeypatch):
    whole = fold(report(CLIPS))["content"]
    monkeypatch.setattr(Fingerspelling, "classes", TASK.classes[::-1])
    assert fold(report(CLIPS))["content"] != whole


def test_accounts_that_do_not_add_up():
    with pytest.raises(RuntimeError, match="a clip was written twice"):
        fold(report(CLIPS), report([clip(1, "test", 1, "x")]))
    wrong = report(CLIPS)
    with pytest.raises(RuntimeError, match="7 clips read, but 6 written and 0 rejected"):
        fold(type(wrong)(**vars(wrong) | {"read": 7}))
