import warnings

import numpy as np
import pytest

from pipeline import landmarks as lm
from pipeline.features import features


def naive(landmarks):
    """The definition, one value at a time."""
    num_frames = len(landmarks)
    result = np.zeros((num_frames, lm.NUM_POINTS, 6))
    for axis in range(2):
        values = landmarks[:, :, axis].astype(float)
        lip = [value for value in values[:, lm.CENTRE_POINT] if not np.isnan(value)]
        centre = sum(lip) / len(lip) if lip else 0.5
        squares = [(value - centre) ** 2 for value in values.ravel() if not np.isnan(value)]
        scale = (sum(squares) / len(squares)) ** 0.5 if squares else 1.0
        for frame in range(num_frames):
            for point in range(lm.NUM_POINTS):
                here = (values[frame, point] - centre) / (scale or 1.0)
                result[frame, point, axis] = here
                for step in (1, 2):
                    if frame + step < num_frames:
                        later = (values[frame + step, point] - centre) / (scale or 1.0)
                        result[frame, point, 2 * step + axis] = later - here
    return result


def clip(num_frames, *missing):
    landmarks = np.random.default_rng(num_frames).normal(0.4, 0.2, (num_frames, lm.NUM_POINTS, 2)).astype(np.float32)
    for where in missing:
        landmarks[where] = np.nan
    return landmarks


CLIPS = {
    "one frame": clip(1),
    "two frames": clip(2),
    "three frames": clip(3),
    "gaps": clip(12, np.s_[2:5, lm.RIGHT_HAND], np.s_[7]),
    "lip seen once": clip(6, np.s_[1:, lm.CENTRE_POINT]),
    "no face": clip(6, np.s_[:, lm.FACE]),
    "all missing": clip(4, np.s_[:]),
    "one coordinate missing": clip(4, np.s_[:, :, 1]),
    "all in one place": np.full((3, lm.NUM_POINTS, 2), 0.3, np.float32),
}


@pytest.mark.parametrize("landmarks", CLIPS.values(), ids=CLIPS)
def test_features_are_as_defined(landmarks):
    before = landmarks.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = features(landmarks)
    assert found.dtype == np.float32
    assert found.shape == (len(landmarks), lm.NUM_POINTS, 6)
    np.testing.assert_allclose(found, naive(landmarks), atol=1e-5)
    np.testing.assert_array_equal(landmarks, before)


def test_by_hand():
    """Two points seen in two frames, x alone: the lip at 1 and 3, another at 0 and 8. Centre 2, scale sqrt(42 / 4)."""
    landmarks = np.full((2, lm.NUM_POINTS, 2), np.nan, np.float32)
    landmarks[:, lm.CENTRE_POINT, 0] = 1, 3
    landmarks[:, 0, 0] = 0, 8
    found = features(landmarks)
    scale = np.sqrt((1 + 1 + 4 + 36) / 4)
    np.testing.assert_allclose(found[0, 0], [-2 / scale, np.nan, 8 / scale, np.nan, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found[1, 0], [6 / scale, np.nan, 0, 0, 0, 0], rtol=1e-6)


def test_moving_or_stretching_the_image_changes_nothing():
    landmarks = CLIPS["gaps"]
    moved = landmarks * np.array([2, 0.5], np.float32) + np.array([1, -3], np.float32)
    np.testing.assert_allclose(features(moved), features(landmarks), atol=1e-4)
