import numpy as np
import pytest

from pipeline.dataset.symptoms import Symptoms, cleaned, swap_hands, symptoms
from pipeline.tasks.body import POINTS
from pipeline.tasks.task import Points

GROUPS = POINTS.groups
RIGHT, LEFT = POINTS.wrists


def clip(num_frames=20):
    """A person with the right hand seen in all frames but two, the left one in none."""
    random = np.random.default_rng(0)
    landmarks = random.uniform(0.4, 0.6, (num_frames, *POINTS.shape)).astype(np.float32)
    for side, hand, x in zip(POINTS.pose_wrists, POINTS.hands, (0.2, 0.8), strict=True):
        landmarks[:, side] = x, 0.9
        landmarks[:, GROUPS[hand]] = random.normal((x, 0.9), 0.02, (num_frames, 21, 2))
    landmarks[:, GROUPS["left_hand"]] = np.nan
    landmarks[:2, GROUPS["right_hand"]] = np.nan
    return landmarks


def kinds(landmarks):
    return list(symptoms(landmarks, POINTS).complaints())


def test_nothing_looks_wrong_in_a_good_clip():
    found = symptoms(clip(), POINTS)
    assert (found.clips, found.frames, found.frames_with_hand, found.located, found.compared) == (1, 20, 18, 20, 18)
    assert found.complaints() == {}
    assert Symptoms().complaints() == {}


def unseen(landmarks, *names):
    for name in names:
        landmarks[:, GROUPS[name]] = np.nan
    return landmarks


WRONG = {
    "hands confused": swap_hands(clip(), POINTS),
    "pixels": clip() * (1920, 1080),
    "single frames": clip()[5:6],
    "rare hands": unseen(clip(), "right_hand"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_looks_wrong(kind):
    landmarks = WRONG[kind].astype(np.float32)
    assert kinds(landmarks) == [kind]
    with_depth = np.concatenate([landmarks, np.full((*landmarks.shape[:2], 1), 5000, np.float32)], axis=2)
    assert kinds(with_depth) == [kind]


@pytest.mark.parametrize("group", ["right_pose", "left_pose"])
def test_hands_are_only_compared_with_both_wrists_of_the_pose(group):
    assert kinds(unseen(swap_hands(clip(), POINTS), group)) == []


def test_one_hand_at_the_other_wrist_now_and_then():
    landmarks = clip()
    landmarks[:10] = swap_hands(landmarks, POINTS)[:10]
    assert kinds(landmarks) == []


@pytest.mark.filterwarnings("error")
def test_numbers_near_the_largest():
    assert "pixels" in kinds(np.sign(clip() - 0.5) * np.finfo(np.float32).max)


def test_counts_of_several_clips():
    one = symptoms(clip()[5:6], POINTS)
    assert list((one + symptoms(clip(), POINTS)).complaints()) == []
    both = (one + one + symptoms(clip(), POINTS)).complaints()
    assert both == {
        "single frames": "2 of 3 clips have one frame only; expected the frames of a video, all with one id"
    }


def test_noise_does_not_look_like_confused_hands():
    random = np.random.default_rng(0)
    for _ in range(100):
        landmarks = random.random((20, *POINTS.shape)).astype(np.float32)
        assert kinds(landmarks) == []


def test_zeros_are_missing_where_a_whole_part_is_zero():
    landmarks = clip()
    expected = landmarks.copy()
    landmarks[:, GROUPS["left_hand"]] = 0
    landmarks[:2, GROUPS["right_hand"]] = 0
    landmarks[7, GROUPS["face"]] = 0
    expected[7, GROUPS["face"]] = np.nan
    landmarks[8, GROUPS["face"].start] = expected[8, GROUPS["face"].start] = 0  # one point alone may be in the corner
    landmarks[9, GROUPS["face"], 0] = expected[9, GROUPS["face"], 0] = 0  # or a face at the edge
    before = landmarks.copy()
    found, shown = cleaned(landmarks, POINTS)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(landmarks, before)
    assert shown.frames_with_zeros == 20
    assert shown.frames_with_hand == 18
    (line,) = shown.complaints().values()
    assert line.startswith("in 20 of 20 frames")


def test_what_is_not_in_an_image_may_be_zero():
    points = Points(names=("x", "y"), axes="v", groups={"sensor": slice(0, 2)})
    landmarks = np.zeros((4, 2, 1), np.float32)
    found, shown = cleaned(landmarks, points)
    assert found is landmarks
    assert shown == Symptoms(clips=1, frames=4, frames_with_hand=4)
    with pytest.raises(ValueError, match="no hands"):
        swap_hands(landmarks, points)


def test_swapping_twice_changes_nothing():
    landmarks = clip()
    swapped = swap_hands(landmarks, POINTS)
    np.testing.assert_array_equal(swapped[:, LEFT], landmarks[:, RIGHT])
    np.testing.assert_array_equal(swapped[:, GROUPS["face"]], landmarks[:, GROUPS["face"]])
    np.testing.assert_array_equal(swap_hands(swapped, POINTS), landmarks)
