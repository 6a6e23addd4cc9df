import numpy as np
import pytest

from pipeline import features as numpy_features
from training.features import Features
from training.model import frame_mask

NAMES = ["clean_60", "hand_dropout_120", "no_face_50", "no_hands_30", "one_frame", "two_frames", "three_frames"]
NAMES += ["long_400", "all_missing_5"]
NUM_FEATURES = numpy_features.NUM_FEATURES


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(0)
    return Features(random.normal(0, 1, NUM_FEATURES), random.uniform(0.5, 2, NUM_FEATURES))


def apply(layer, inputs):
    return np.array(layer(inputs["landmarks"], mask=frame_mask(inputs)))


@pytest.mark.parametrize("content", [0.0, np.nan, np.inf, "noise"], ids=str)
def test_they_are_those_of_the_statistics(layer, clips, pad, content):
    """Those of `pipeline.features`, standardised, 0 for missing, whatever the padding holds."""
    found = apply(layer, pad(list(clips.values()), 20, content))
    for row, (name, each) in zip(found, clips.items(), strict=True):
        expected = np.nan_to_num((numpy_features.features(each) - layer.mean) / layer.std)
        np.testing.assert_allclose(row[: len(each)], expected, atol=1e-4, err_msg=name)


def test_without_padding(layer, clips, pad):
    for name, each in clips.items():
        expected = np.nan_to_num((numpy_features.features(each) - layer.mean) / layer.std)
        np.testing.assert_allclose(apply(layer, pad([each], len(each)))[0], expected, atol=1e-4, err_msg=name)


@pytest.mark.parametrize("name", NAMES)
def test_published_features(reference, pad, name):
    """Its inputs are in the order of its columns, its features in the order of the network's points."""
    arrays = reference("reference_features.npz")
    landmarks = arrays[f"{name}/input"][:, arrays["point_landmarks"]]
    layer = Features(np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES))
    found = apply(layer, pad([landmarks], len(landmarks) + 3, "noise"))[0, : len(landmarks)]
    np.testing.assert_allclose(found, np.nan_to_num(arrays[f"{name}/features"]), atol=1e-4)


def test_gaps_are_not_padding(layer, clip, pad):
    """A sequence's own missing frames count in its length: the steps at its end are 0, not missing."""
    landmarks = clip(6, np.s_[4:])
    found = apply(layer, pad([landmarks], 8))[0].reshape(8, 100, 6)
    end = (0 - layer.mean.reshape(100, 6)) / layer.std.reshape(100, 6)
    np.testing.assert_allclose(found[5, :, 2:], end[:, 2:], atol=1e-6)
    assert not found[4, :, 2:4].any()
    assert not found[4:6, :, :2].any()
