import numpy as np
import pytest

from pipeline import landmarks as lm

NAMES = ["clean_60", "hand_dropout_120", "no_face_50", "one_frame", "all_missing_5"]


def test_the_points_and_their_groups():
    assert len(lm.POINT_NAMES) == len(set(lm.POINT_NAMES)) == 100
    groups = (lm.FACE, lm.RIGHT_HAND, lm.LEFT_HAND, lm.RIGHT_POSE, lm.LEFT_POSE)
    for group, prefix in zip(groups, ("face_", "right_hand_", "left_hand_", "pose_", "pose_"), strict=True):
        assert all(name.startswith(prefix) for name in lm.POINT_NAMES[group])
    assert [point for group in groups for point in range(100)[group]] == list(range(100))
    assert list(lm.FACE_INDICES) == sorted(lm.FACE_INDICES)
    assert lm.POINT_NAMES[lm.RIGHT_WRIST] == "right_hand_0"
    assert lm.POINT_NAMES[lm.LEFT_WRIST] == "left_hand_0"
    assert lm.POINT_NAMES[lm.CENTRE_POINT] == "face_17"
    assert lm.COLUMNS[:2] == ("x_face_0", "x_face_1")
    assert lm.COLUMNS[100:102] == ("y_face_0", "y_face_1")


def test_the_mirror():
    np.testing.assert_array_equal(lm.MIRROR[lm.MIRROR], np.arange(100))
    np.testing.assert_array_equal(lm.MIRROR[lm.RIGHT_HAND], np.arange(100)[lm.LEFT_HAND])
    np.testing.assert_array_equal(lm.MIRROR[lm.RIGHT_POSE], np.arange(100)[lm.LEFT_POSE])
    on_the_middle = [name for point, name in enumerate(lm.POINT_NAMES) if lm.MIRROR[point] == point]
    assert on_the_middle == [f"face_{i}" for i in (0, 1, 2, 13, 14, 17)]


def test_the_published_order(reference):
    arrays = reference("reference_features.npz")
    x_columns = arrays["columns"][:100]
    assert [str(name).removeprefix("x_") for name in x_columns[arrays["point_landmarks"]]] == list(lm.POINT_NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_published_flip(reference, name):
    arrays = reference("reference_features.npz")
    order = arrays["point_landmarks"]
    flipped = arrays[f"{name}/input"][:, order][:, lm.MIRROR] * [-1, 1] + [1, 0]
    np.testing.assert_allclose(flipped, arrays[f"{name}/flipped"][:, order], atol=1e-6)
