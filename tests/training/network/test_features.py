import dataclasses
import math

import numpy as np
import pytest

from pipeline.dataset import features as numpy_features
from pipeline.tasks.body import POINTS
from training.data import augment
from training.network.features import Features
from training.network.model import frame_mask

LEFT_HAND, RIGHT_HAND = POINTS.groups["left_hand"], POINTS.groups["right_hand"]
NUM_FEATURES = numpy_features.num_features(POINTS)


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(0)
    mean, std = random.normal(0, 1, NUM_FEATURES), random.uniform(0.5, 2, NUM_FEATURES)
    return Features(POINTS, mean, std, hand_shape=True)


def right_handed(landmarks):
    right, left = ((~np.isnan(landmarks[:, wrist, 0])).sum() for wrist in POINTS.wrists)
    return augment.mirror(landmarks, POINTS) if left > right else landmarks


def hand_shape(landmarks):
    """The definition, one axis at a time; NaN where a point or its wrist is missing."""
    points = landmarks[:, RIGHT_HAND].astype(np.float64) - landmarks[:, RIGHT_HAND.start, None]
    for axis in range(2):
        seen = points[..., axis][~np.isnan(points[..., axis])]
        points[..., axis] /= (np.sqrt(np.mean(seen**2)) if seen.size else 0) or 1
    return points.reshape(len(points), 42) * math.sqrt(600 / 42)


def expected(layer, landmarks):
    landmarks = right_handed(landmarks)
    published = (numpy_features.features(landmarks, POINTS).reshape(-1, NUM_FEATURES) - layer.mean) / layer.std
    return np.nan_to_num(np.concatenate([published, hand_shape(landmarks)], axis=1))


def apply(layer, inputs):
    return np.array(layer(inputs["landmarks"], mask=frame_mask(inputs)))


@pytest.mark.parametrize("content", [0.0, np.nan, np.inf, "noise"], ids=str)
def test_they_are_those_of_the_statistics(layer, clips, pad, content):
    """Those of `pipeline.dataset.features`, standardized, then the hand; 0 for missing, whatever the padding holds."""
    found = apply(layer, pad(list(clips.values()), 20, content))
    assert found.shape[-1] == layer.width == 642
    for row, (name, each) in zip(found, clips.items(), strict=True):
        np.testing.assert_allclose(row[: len(each)], expected(layer, each), atol=1e-4, err_msg=name)


def test_left_handed_signers_look_right_handed(layer, clip, pad):
    right = clip(9, np.s_[:, LEFT_HAND], np.s_[3:5])
    both = apply(layer, pad([right, augment.mirror(right, POINTS)], 11))
    assert both[0, :9, NUM_FEATURES:].any()
    np.testing.assert_allclose(both[0], both[1], atol=1e-4)


def test_without_padding(layer, clips, pad):
    for name, each in clips.items():
        found = apply(layer, pad([each], len(each)))[0]
        np.testing.assert_allclose(found, expected(layer, each), atol=1e-4, err_msg=name)


def test_published_features(published, pad):
    """Of every clip; the inputs are in the order of its columns, the features in that of the network's points."""
    clips = {name.removesuffix("/input"): array for name, array in published.items() if name.endswith("/input")}
    del clips["base_small"]  # features, not landmarks
    assert len(clips) == 8
    layer = Features(POINTS, np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES), hand_shape=False)
    for name, given in clips.items():
        landmarks = given[:, published["point_landmarks"]]
        found = apply(layer, pad([landmarks], len(landmarks) + 3, "noise"))[0, : len(landmarks)]
        np.testing.assert_allclose(found, np.nan_to_num(published[f"{name}/features"]), atol=1e-4, err_msg=name)


def test_gaps_are_not_padding(layer, clip, pad):
    """A clip's own missing frames count in its length: the steps at its end are 0, not missing."""
    landmarks = clip(6, np.s_[4:])
    found = apply(layer, pad([landmarks], 8))[0, :, :NUM_FEATURES].reshape(8, 100, 6)
    end = (0 - layer.mean.reshape(100, 6)) / layer.std.reshape(100, 6)
    np.testing.assert_allclose(found[5, :, 2:], end[:, 2:], atol=1e-6)
    assert not found[4, :, 2:4].any()
    assert not found[4:6, :, :2].any()


def test_points_without_a_centre_are_taken_as_they_are(clip, pad):
    points = dataclasses.replace(POINTS, centre=None)
    found = apply(Features(points, np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES), hand_shape=False), pad([clip(5)], 5))
    np.testing.assert_array_equal(found.reshape(5, 100, 6)[..., :2], clip(5))
    np.testing.assert_allclose(found[0], numpy_features.features(clip(5), points).reshape(5, -1), atol=1e-6)
