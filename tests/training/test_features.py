import numpy as np
import pytest

from pipeline import features as numpy_features
from pipeline import landmarks as lm
from training import augment
from training.features import HAND_SHAPE_WEIGHT, Features
from training.model import frame_mask

NAMES = ["clean_60", "hand_dropout_120", "no_face_50", "no_hands_30", "one_frame", "two_frames", "three_frames"]
NAMES += ["long_400", "all_missing_5"]
NUM_FEATURES = numpy_features.NUM_FEATURES


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(0)
    return Features(random.normal(0, 1, NUM_FEATURES), random.uniform(0.5, 2, NUM_FEATURES), hand_shape=True)


def right_handed(landmarks):
    right, left = ((~np.isnan(landmarks[:, wrist, 0])).sum() for wrist in (lm.RIGHT_WRIST, lm.LEFT_WRIST))
    return augment.mirror(landmarks) if left > right else landmarks


def hand_shape(landmarks):
    """The definition, one axis at a time; NaN where a point or its wrist is missing."""
    points = landmarks[:, lm.RIGHT_HAND].astype(np.float64) - landmarks[:, lm.RIGHT_WRIST, None]
    for axis in range(2):
        seen = points[..., axis][~np.isnan(points[..., axis])]
        points[..., axis] /= (np.sqrt(np.mean(seen**2)) if seen.size else 0) or 1
    return points.reshape(len(points), 42) * HAND_SHAPE_WEIGHT


def expected(layer, landmarks):
    landmarks = right_handed(landmarks)
    published = (numpy_features.features(landmarks).reshape(-1, NUM_FEATURES) - layer.mean) / layer.std
    return np.nan_to_num(np.concatenate([published, hand_shape(landmarks)], axis=1))


def apply(layer, inputs):
    return np.array(layer(inputs["landmarks"], mask=frame_mask(inputs)))


@pytest.mark.parametrize("content", [0.0, np.nan, np.inf, "noise"], ids=str)
def test_they_are_those_of_the_statistics(layer, clips, pad, content):
    """Those of `pipeline.features`, standardised, then the hand; 0 for missing, whatever the padding holds."""
    found = apply(layer, pad(list(clips.values()), 20, content))
    assert found.shape[-1] == layer.width == 642
    for row, (name, each) in zip(found, clips.items(), strict=True):
        np.testing.assert_allclose(row[: len(each)], expected(layer, each), atol=1e-4, err_msg=name)


def test_left_handed_signers_look_right_handed(layer, clip, pad):
    right = clip(9, np.s_[:, lm.LEFT_HAND], np.s_[3:5])
    both = apply(layer, pad([right, augment.mirror(right)], 11))
    assert both[0, :9, NUM_FEATURES:].any()
    np.testing.assert_allclose(both[0], both[1], atol=1e-4)


def test_without_padding(layer, clips, pad):
    for name, each in clips.items():
        found = apply(layer, pad([each], len(each)))[0]
        np.testing.assert_allclose(found, expected(layer, each), atol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_published_features(reference, pad, name):
    """Its inputs are in the order of its columns, its features in the order of the network's points."""
    arrays = reference("reference_features.npz")
    landmarks = arrays[f"{name}/input"][:, arrays["point_landmarks"]]
    layer = Features(np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES), hand_shape=False)
    found = apply(layer, pad([landmarks], len(landmarks) + 3, "noise"))[0, : len(landmarks)]
    np.testing.assert_allclose(found, np.nan_to_num(arrays[f"{name}/features"]), atol=1e-4)


def test_gaps_are_not_padding(layer, clip, pad):
    """A sequence's own missing frames count in its length: the steps at its end are 0, not missing."""
    landmarks = clip(6, np.s_[4:])
    found = apply(layer, pad([landmarks], 8))[0, :, :NUM_FEATURES].reshape(8, 100, 6)
    end = (0 - layer.mean.reshape(100, 6)) / layer.std.reshape(100, 6)
    np.testing.assert_allclose(found[5, :, 2:], end[:, 2:], atol=1e-6)
    assert not found[4, :, 2:4].any()
    assert not found[4:6, :, :2].any()
