import numpy as np

from pipeline import accounts
from pipeline import landmarks as lm
from pipeline.accounts import Written
from pipeline.sequences import Sequence


def written(sequence_id, split, participant_id, label, num_frames=4, without=1, source="train"):
    return Written(sequence_id, split, participant_id, source, label, num_frames, without)


WRITTEN = [
    written(1, "train", 7, "hello", 10),
    written(2, "train", 7, "bye", 20, 5, "supplemental"),
    written(3, "train", 8, "again", 60),
    written(4, "validation", 8, "hello"),
    written(5, "validation", 9, "hello"),
    written(6, "test", 10, "new"),
]


def test_a_sequence_is_told():
    landmarks = np.zeros((5, lm.NUM_POINTS, 2), np.float32)
    landmarks[:4, lm.RIGHT_HAND] = np.nan
    landmarks[3:, lm.LEFT_HAND] = np.nan
    found = Written.of(Sequence(landmarks, "hi", 3, 4, "train"), "test")
    assert found == Written(3, "test", 4, "train", "hi", 5, frames_without_hands=1)


def test_what_splits_hold():
    found = accounts.by_split(WRITTEN)
    assert list(found) == ["train", "validation", "test"]
    train = found["train"]
    assert (train["sequences"], train["participants"]) == (3, [7, 8])
    assert train["sequences_of_participant"] == {"7": 2, "8": 1}
    assert train["sequences_of_source"] == {"supplemental": 1, "train": 2}
    assert (train["frames"], train["frames_without_hands"]) == (90, 7)
    assert train["frames_per_sequence"] == {
        "mean": 30.0,
        "min": 10,
        "p1": 10.2,
        "p5": 11.0,
        "p50": 20.0,
        "p95": 56.0,
        "p99": 59.2,
        "max": 60,
    }
    assert train["characters_per_sequence"]["mean"] == 4.33
    nothing = accounts.by_split([])["test"]
    assert (nothing["sequences"], nothing["participants"], nothing["frames_per_sequence"]) == (0, [], {})


def test_what_splits_share():
    shared = {"participants": 1, "sequences": 0, "phrases": 1, "sequences_with_shared_phrase": 2}
    assert accounts.overlap(WRITTEN) == {
        "train/validation": shared,
        "train/test": dict.fromkeys(shared, 0),
        "validation/test": dict.fromkeys(shared, 0),
    }
    assert accounts.overlap(WRITTEN[:3]) == {}
    assert accounts.overlap([*WRITTEN[:3], written(1, "test", 1, "x")])["train/test"]["sequences"] == 1
