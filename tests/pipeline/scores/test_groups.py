"""Labels that are wrong together are found and named; labels that are right give nothing."""

import random

import pytest

from pipeline.dataset.clips import ClipInfo
from pipeline.scores import groups
from pipeline.scores.score_table import Learnt, Row
from pipeline.tasks.fingerspelling import Fingerspelling
from pipeline.tasks.recordings import Recordings
from pipeline.tasks.task import Tables

CLASSES = tuple("abcdefg")
CLIPS, SIGNERS = 140, 10


def task_of(kind: str = "files") -> Recordings:
    return Recordings(tables=Tables(kind=kind), channels=("x",), labels=CLASSES)


def table(truth, given, *, task, seed=0, signers=SIGNERS, accuracy=0.9, hard=None):
    """Rows whose predictions follow the truth; `given` are the labels."""
    draw = random.Random(seed)
    rows = []
    for i, (true, label) in enumerate(zip(truth, given, strict=True)):
        signer = i * signers // len(truth)
        right = draw.random() < (0.5 if signer == hard else accuracy)
        clip = ClipInfo(task_id(task, signer, i), "train", signer, "", label, 50, 0, True)
        rows.append(Row.of(clip, true if right else draw.choice(truth), task, Learnt.of([])))
    return draw.sample(rows, len(rows))


def task_id(task, file, place):
    return task.tables.clip_id(file, place) if isinstance(task, Recordings) else place


def some(count=CLIPS, seed=0, choices=CLASSES):
    return random.Random(seed).choices(choices, k=count)


def shifted(labels, first, last, by=1):
    """With the labels of the clips from first to last, both inclusive, each moved up or down by one clip."""
    moved = list(labels)
    moved[first : last + 1] = labels[first + by : last + 1 + by]
    return moved


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("accuracy", [0.95, 0.6])
def test_right_labels_give_none(seed, accuracy):
    truth = some(seed=seed)
    assert not groups.find(table(truth, truth, task=task_of(), seed=seed, accuracy=accuracy), task_of())
    assert not groups.find(table(truth, truth, task=task_of(), seed=seed, hard=3), task_of())


@pytest.mark.parametrize(("by", "problem"), [(-1, "next"), (1, "previous")])
def test_a_shifted_block_is_found_and_named(by, problem):
    truth = some()
    (group,) = groups.find(table(truth, shifted(truth, 60, 79, by), task=task_of()), task_of())
    assert group["problem"] == problem
    assert abs(group["first"] - 60) <= 2
    assert abs(group["last"] - 79) <= 2
    assert group["signer"] is None
    assert group["own"] < 0.2 < 0.8 < group["shifted"]
    assert group["elsewhere"] > 0.8
    where = "after" if problem == "next" else "before"
    assert "several signers" in groups.words(group)
    assert f"as the clip {where} is" in groups.words(group)


def test_all_clips_of_a_signer():
    truth = CLASSES * 20
    (group,) = groups.find(table(truth, shifted(truth, 42, 55), task=task_of(), accuracy=1), task_of())
    # Its first clip has no neighbour with the label that was moved.
    assert (group["problem"], group["signer"], group["clips"], group["of"]) == ("previous", 3, 13, 14)
    assert groups.words(group) == (
        "signer 3, 13 of 14 clips, 43 to 55: labels look shifted by one: 0% are read as labeled, 100% as the clip"
        " before is, of all others 99%"
    )


def test_labels_of_another_recording():
    truth = some()
    given = [*truth[:42], *some(28, seed=9), *truth[70:]]
    (group,) = groups.find(table(truth, given, task=task_of()), task_of())
    assert group["problem"] == "wrong"
    assert 40 <= group["first"] <= group["last"] <= 71
    assert "labels or recordings look wrong" in groups.words(group)
    assert "→" in groups.words(group)


def test_windows_are_taken_together_by_their_label():
    """Those of one bout are wrong together, and say no more than one of them; a shift of bouts is found."""
    task = task_of("streams")
    bouts = [label for label, after in zip(some(200), some(201)[1:], strict=False) if label != after][:120]

    def windows(labels):
        return [label for label in labels for _ in range(9)]

    assert not groups.find(table(windows(bouts), windows(["a", *bouts[1:]]), task=task), task)
    rows = table(windows(bouts), windows(shifted(bouts, 25, 34)), task=task)
    (group,) = groups.find(rows, task)
    assert (group["problem"], group["signer"], group["file"]) == ("previous", 2, 2)
    assert group["clips"] >= 8 * 9


def test_phrases_too():
    task = Fingerspelling()
    draw = random.Random(3)
    truth = ["".join(draw.choices("abcdefghij", k=12)) for _ in range(100)]
    assert not groups.find(table(truth, truth, task=task), task)
    (group,) = groups.find(table(truth, shifted(truth, 20, 35, -1), task=task), task)
    assert group["problem"] == "next"


def test_two_clips_are_too_few_to_tell():
    truth = ["a", "b"]
    assert groups.find(table(truth, truth[::-1], task=task_of(), signers=1), task_of()) == []
