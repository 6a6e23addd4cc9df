import numpy as np

from pipeline.synthesis import kinematics

# MediaPipe's parent of each landmark but the wrist, which carries the thumb's base and the four knuckles.
PARENTS = [0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0, 13, 14, 15, 0, 17, 18, 19]


def _random_postures(count: int) -> np.ndarray:
    low, high = kinematics.LIMITS.T
    return np.random.default_rng(1).uniform(low, high, (count, kinematics.NUM_ANGLES)).astype(np.float32)


def _bone_lengths(points_TxJx3: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points_TxJx3[:, 1:] - points_TxJx3[:, PARENTS], axis=2)


def test_bone_lengths_are_the_same_in_every_posture():
    points = kinematics.forward(_random_postures(200))
    assert points.shape == (200, 21, 3)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points[:, 0], 0)
    expected = _bone_lengths(kinematics.forward(np.zeros((1, kinematics.NUM_ANGLES))))
    np.testing.assert_allclose(_bone_lengths(points), np.repeat(expected, 200, axis=0), atol=1e-4)
    np.testing.assert_allclose(expected.reshape(5, 4)[:, 1:], kinematics.BONES, atol=1e-5)


def test_a_straight_hand_points_up_with_the_thumb_at_its_side():
    points = kinematics.forward(np.zeros((1, kinematics.NUM_ANGLES)))[0]
    for tip in (8, 12, 16, 20):
        np.testing.assert_allclose(points[tip, [0, 2]], points[tip - 3, [0, 2]], atol=1e-5)
        assert points[tip, 1] > points[tip - 3, 1]
    assert points[4, 0] > points[8, 0] - 1 > points[20, 0]


def test_fingers_curl_to_the_palms_side():
    fist = np.zeros((1, kinematics.NUM_ANGLES))
    fist[0, :16] = (85, 95, 50, 0) * 4
    points = kinematics.forward(fist)[0]
    for tip in (8, 12, 16, 20):
        assert points[tip - 2, 2] > 2
        assert np.linalg.norm(points[tip] - points[0]) < np.linalg.norm(points[tip - 3])


def test_orientation_turns_the_palm_as_documented():
    def normal_and_fingers(*orientation: float) -> np.ndarray:
        rotation = kinematics.rotation_matrices(np.array([orientation], float))[0]
        return np.round(rotation @ np.array([[0, 0, 1], [0, 1, 0]]).T, 5).T

    # (palm's normal, direction of the fingers); x right, y up, z to the camera.
    np.testing.assert_allclose(normal_and_fingers(90, 0, 0), [(0, -1, 0), (0, 0, 1)], atol=1e-5)
    np.testing.assert_allclose(normal_and_fingers(0, 90, 0), [(1, 0, 0), (0, 1, 0)], atol=1e-5)
    np.testing.assert_allclose(normal_and_fingers(0, 0, 90), [(0, 0, 1), (-1, 0, 0)], atol=1e-5)
    rotations = kinematics.rotation_matrices(_random_postures(50)[:, kinematics.ORIENTATION])
    np.testing.assert_allclose(rotations @ rotations.transpose(0, 2, 1), np.tile(np.eye(3), (50, 1, 1)), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-5)


def test_the_thumb_reaches_what_it_can():
    low, high = kinematics.LIMITS[kinematics.THUMB].T
    postures = np.zeros((100, kinematics.NUM_ANGLES))
    postures[:, kinematics.THUMB] = np.random.default_rng(2).uniform(low + 10, high - 10, (100, 4))
    targets = kinematics.forward(postures)[:, 4]
    start = np.zeros_like(postures)
    start[:, kinematics.THUMB] = (25, 35, 15, 20)
    reached = kinematics.reach(start, targets)
    miss = np.linalg.norm(kinematics.forward(reached)[:, 4] - targets, axis=1)
    assert np.quantile(miss, 0.9) < 0.5  # centimetres
    assert (reached[:, kinematics.THUMB] >= low).all()
    assert (reached[:, kinematics.THUMB] <= high).all()
