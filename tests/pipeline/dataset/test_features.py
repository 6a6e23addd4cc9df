import dataclasses
import warnings

import numpy as np
import pytest

from pipeline.dataset.features import features, num_features
from pipeline.tasks.body import POINTS


def naive(landmarks):
    """The definition, one value at a time."""
    num_frames = len(landmarks)
    result = np.zeros((num_frames, 100, 6))
    for axis in range(2):
        values = landmarks[:, :, axis].astype(float)
        lip = [value for value in values[:, POINTS.centre] if not np.isnan(value)]
        centre = sum(lip) / len(lip) if lip else 0.5
        squares = [(value - centre) ** 2 for value in values.ravel() if not np.isnan(value)]
        scale = (sum(squares) / len(squares)) ** 0.5 if squares else 1.0
        for frame in range(num_frames):
            for point in range(100):
                here = (values[frame, point] - centre) / (scale or 1.0)
                result[frame, point, axis] = here
                for step in (1, 2):
                    if frame + step < num_frames:
                        later = (values[frame + step, point] - centre) / (scale or 1.0)
                        result[frame, point, 2 * step + axis] = later - here
    return result


def clip(num_frames, *missing):
    landmarks = np.random.default_rng(num_frames).normal(0.4, 0.2, (num_frames, *POINTS.shape)).astype(np.float32)
    for where in missing:
        landmarks[where] = np.nan
    return landmarks


CLIPS = {
    "one frame": clip(1),
    "two frames": clip(2),
    "three frames": clip(3),
    "gaps": clip(12, np.s_[2:5, POINTS.groups["right_hand"]], np.s_[7]),
    "lip seen once": clip(6, np.s_[1:, POINTS.centre]),
    "no face": clip(6, np.s_[:, POINTS.groups["face"]]),
    "all missing": clip(4, np.s_[:]),
    "one coordinate missing": clip(4, np.s_[:, :, 1]),
    "all in one place": np.full((3, *POINTS.shape), 0.3, np.float32),
}


@pytest.mark.parametrize("landmarks", CLIPS.values(), ids=CLIPS)
def test_features_are_as_defined(landmarks):
    before = landmarks.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = features(landmarks, POINTS)
    assert found.dtype == np.float32
    assert found.shape == (len(landmarks), 100, 6)
    np.testing.assert_allclose(found, naive(landmarks), atol=1e-5)
    np.testing.assert_array_equal(landmarks, before)


def test_by_hand():
    """Two points seen in two frames, x alone: the lip at 1 and 3, another at 0 and 8. Centre 2, scale sqrt(42 / 4)."""
    landmarks = np.full((2, *POINTS.shape), np.nan, np.float32)
    landmarks[:, POINTS.centre, 0] = 1, 3
    landmarks[:, 0, 0] = 0, 8
    found = features(landmarks, POINTS)
    scale = np.sqrt((1 + 1 + 4 + 36) / 4)
    np.testing.assert_allclose(found[0, 0], [-2 / scale, np.nan, 8 / scale, np.nan, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found[1, 0], [6 / scale, np.nan, 0, 0, 0, 0], rtol=1e-6)


def test_moving_or_stretching_the_image_changes_nothing():
    landmarks = CLIPS["gaps"]
    moved = landmarks * np.array([2, 0.5], np.float32) + np.array([1, -3], np.float32)
    np.testing.assert_allclose(features(moved, POINTS), features(landmarks, POINTS), atol=1e-4)


def test_values_of_points_without_a_centre_are_taken_as_they_are():
    points = dataclasses.replace(POINTS, centre=None)
    landmarks = CLIPS["gaps"]
    found = features(landmarks, points)
    np.testing.assert_array_equal(found[..., :2], landmarks)
    np.testing.assert_array_equal(found[:-2, :, 4:], landmarks[2:] - landmarks[:-2])


def test_points_with_depth():
    """Each axis apart: x and y are as without it."""
    points = dataclasses.replace(POINTS, axes="xyz")
    assert (num_features(POINTS), num_features(points)) == (600, 900)
    depth = np.full((12, 100, 1), 0.5, np.float32)
    found = features(np.concatenate([CLIPS["gaps"], depth], axis=2), points)
    flat = features(CLIPS["gaps"], POINTS)
    assert found.shape == (12, 100, 9)
    np.testing.assert_array_equal(found[..., [0, 1, 3, 4, 6, 7]], flat)
    assert not found[..., [2, 5, 8]].any()


def test_the_published_features(published):
    names = [name.removesuffix("/features") for name in published if name.endswith("/features")]
    assert len(names) == 8
    for name in names:
        found = features(published[f"{name}/input"][:, published["point_landmarks"]], POINTS)
        expected = published[f"{name}/features"]
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=1e-4, atol=1e-4, err_msg=name)
