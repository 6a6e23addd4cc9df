import numpy as np
import pytest

from pipeline.tasks import body
from pipeline.tasks.body import POINTS

CLIPS = [
    *("clean_7", "hand_dropout_13", "left_hand_outside_6", "no_face_6", "all_missing_3"),
    *("one_frame", "two_frames", "three_frames"),
]


def test_the_points_and_their_groups():
    assert len(POINTS.names) == len(set(POINTS.names)) == 100
    assert POINTS.shape == (100, 2)
    prefixes = ("face_", "right_hand_", "left_hand_", "pose_", "pose_")
    for group, prefix in zip(POINTS.groups.values(), prefixes, strict=True):
        assert all(name.startswith(prefix) for name in POINTS.names[group])
    assert [point for group in POINTS.groups.values() for point in range(100)[group]] == list(range(100))
    face = [int(name.removeprefix("face_")) for name in POINTS.names[POINTS.groups["face"]]]
    assert face == sorted(face)
    assert [POINTS.names[point] for point in POINTS.wrists] == ["right_hand_0", "left_hand_0"]
    assert POINTS.names[POINTS.centre] == "face_17"


def test_edges_mirror_and_join_all_points():
    """Drawings are as symmetric as the body, stay within a part, and reach every point."""
    edges = {frozenset(edge) for edge in POINTS.edges}
    assert len(edges) == len(POINTS.edges)
    assert {frozenset(int(POINTS.mirror[point]) for point in edge) for edge in edges} == edges
    assert all(len({POINTS.names[point].rpartition("_")[0] for point in edge}) == 1 for edge in edges)
    assert {point for edge in edges for point in edge} == set(range(100))


def test_points_of_several_groups():
    assert POINTS.indices("left_pose", "right_hand").tolist() == [*range(93, 100), *range(44, 65)]
    assert POINTS.indices("right_hand", "tail").tolist() == [*range(44, 65)]
    assert POINTS.indices().tolist() == []


def test_the_mirror():
    mirror, groups = POINTS.mirror, POINTS.groups
    np.testing.assert_array_equal(mirror[mirror], np.arange(100))
    np.testing.assert_array_equal(mirror[groups["right_hand"]], np.arange(100)[groups["left_hand"]])
    np.testing.assert_array_equal(mirror[groups["right_pose"]], np.arange(100)[groups["left_pose"]])
    on_the_middle = [name for point, name in enumerate(POINTS.names) if mirror[point] == point]
    assert on_the_middle == [f"face_{i}" for i in (0, 1, 2, 13, 14, 17)]


def test_the_published_order(published):
    x_columns = published["columns"][:100]
    order = published["point_landmarks"]
    assert [str(name).removeprefix("x_") for name in x_columns[order]] == list(POINTS.names)


@pytest.mark.parametrize("name", CLIPS)
def test_the_published_flip(published, name):
    order = published["point_landmarks"]
    flipped = published[f"{name}/input"][:, order][:, POINTS.mirror] * [-1, 1] + [1, 0]
    np.testing.assert_allclose(flipped, published[f"{name}/flipped"][:, order], atol=1e-6)


def test_a_hand_is_seen_when_its_wrist_has_an_x():
    landmarks = np.full((6, 100, 2), np.nan, np.float32)
    right, left = POINTS.wrists
    landmarks[2:5, right, 0] = 0.1
    landmarks[:, right, 1] = 0.1
    landmarks[:, left + 1] = 0.1
    seen = body.hands_seen(landmarks)
    assert seen.dtype == bool
    np.testing.assert_array_equal(seen[:, 0], [False, False, True, True, True, False])
    assert not seen[:, 1].any()
    assert body.hands_seen(landmarks[:0]).shape == (0, 2)
