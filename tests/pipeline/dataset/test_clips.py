import numpy as np
import pytest

from pipeline.dataset.clips import Clip, ClipInfo, examine
from pipeline.dataset.metadata import Entry
from pipeline.tasks.body import POINTS
from pipeline.tasks.faults import DUPLICATE, EMPTY_LABEL, UNKNOWN_CHARACTERS, Fault
from pipeline.tasks.fingerspelling import Fingerspelling

TASK = Fingerspelling()


def entry(label="hi"):
    return Entry("a.parquet", 3, 4, label, "train")


@pytest.fixture
def landmarks():
    """Of five frames: the right hand is seen in the last, the left one in the first three."""
    landmarks = np.full((5, *POINTS.shape), 0.5, np.float32)
    landmarks[:4, POINTS.groups["right_hand"]] = np.nan
    landmarks[3:, POINTS.groups["left_hand"]] = np.nan
    return landmarks


def test_a_clip_of_a_row_of_the_metadata(landmarks):
    clip, symptoms = examine(entry(), landmarks, TASK)
    assert (clip.label, clip.sequence_id, clip.signer, clip.source, clip.num_frames) == ("hi", 3, 4, "train", 5)
    np.testing.assert_array_equal(clip.landmarks, landmarks)
    assert (symptoms.clips, symptoms.frames, symptoms.infinite_values) == (1, 5, 0)


def test_infinite_values_become_missing_and_are_counted(landmarks):
    landmarks[1, 0] = np.inf, -np.inf
    before = landmarks.copy()
    clip, symptoms = examine(entry(), landmarks, TASK)
    assert symptoms.infinite_values == 2
    assert clip.landmarks.dtype == np.float32
    before[1, 0] = np.nan
    np.testing.assert_array_equal(clip.landmarks, before)
    assert np.isinf(landmarks).sum() == 2


def test_what_is_wrong_with_the_landmarks_comes_first(landmarks):
    fault = Fault(DUPLICATE, "its rows are in 2 places of the file")
    assert examine(entry(""), fault, TASK) == fault
    assert examine(entry(""), landmarks, TASK).reason == EMPTY_LABEL
    assert examine(entry("É"), landmarks, TASK) == Fault(UNKNOWN_CHARACTERS, "'É' in 'É'")


def test_a_clip_is_told_without_its_landmarks(landmarks):
    found = ClipInfo.of(Clip(landmarks, "hi", 3, 4, "train"), "test", TASK)
    assert found == ClipInfo(3, "test", 4, "train", "hi", 5, frames_unseen=1, plausible=False)
    assert ClipInfo.of(Clip(landmarks, "h", 3, 4, "train"), "test", TASK).plausible is True
