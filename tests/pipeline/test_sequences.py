import numpy as np
import pytest

from pipeline import landmarks as lm
from pipeline.sequences import Sequence, hand_frames, passes_length_rule


def clip(right, left):
    """A clip in which the hands are seen in the first `right` and `left` of ten frames."""
    landmarks = np.full((10, lm.NUM_POINTS, 2), 0.5, np.float32)
    landmarks[right:, lm.RIGHT_HAND] = np.nan
    landmarks[left:, lm.LEFT_HAND] = np.nan
    return landmarks


@pytest.mark.parametrize(("right", "left", "expected"), [(0, 0, 0), (3, 0, 3), (2, 7, 7), (10, 10, 10), (5, 5, 5)])
def test_frames_of_the_better_seen_hand(right, left, expected):
    assert hand_frames(clip(right, left)) == expected


def test_a_hand_is_seen_when_its_wrist_has_an_x():
    landmarks = clip(0, 0)
    landmarks[2:5, lm.RIGHT_WRIST, 0] = 0.1
    landmarks[:, lm.RIGHT_WRIST, 1] = 0.1
    landmarks[:, lm.LEFT_WRIST + 1] = 0.1
    assert hand_frames(landmarks) == 3
    assert hand_frames(landmarks[:0]) == 0


def test_more_than_two_frames_a_character():
    assert passes_length_rule(clip(7, 0), "abc")
    assert not passes_length_rule(clip(6, 6), "abc")


@pytest.mark.parametrize("length", [3, 10, 29])
@pytest.mark.parametrize(
    "name", ["clean_60", "hand_dropout_120", "no_face_50", "no_hands_30", "one_frame", "long_400", "all_missing_5"]
)
def test_the_published_length_filter(reference, name, length):
    arrays = reference("reference_features.npz")
    landmarks = arrays[f"{name}/input"][:, arrays["point_landmarks"]]
    assert passes_length_rule(landmarks, "a" * length) == arrays[f"{name}/keep_len{length}"]


def test_num_frames():
    assert Sequence(clip(1, 1), "a", 1, 2, "train").num_frames == 10
