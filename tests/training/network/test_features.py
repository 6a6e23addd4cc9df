import dataclasses
import math

import numpy as np
import pytest

from pipeline.dataset import features as numpy_features
from pipeline.tasks.body import POINTS
from training.data import augment
from training.network.features import LOUDEST, Features
from training.network.model import frame_mask

LEFT_HAND, RIGHT_HAND = POINTS.groups["left_hand"], POINTS.groups["right_hand"]
NUM_FEATURES = numpy_features.num_features(POINTS)


@pytest.fixture(scope="module")
def make_layer():
    def make(kind):
        random = np.random.default_rng(0)
        mean, std = random.normal(0, 1, NUM_FEATURES), random.uniform(0.5, 2, NUM_FEATURES)
        return Features(POINTS, mean, std, kind=kind)

    return make


@pytest.fixture(scope="module")
def layer(make_layer):
    return make_layer("with-hand")


def right_handed(landmarks):
    right, left = ((~np.isnan(landmarks[:, wrist, 0])).sum() for wrist in POINTS.wrists)
    return augment.mirror(landmarks, POINTS) if left > right else landmarks


def hand(landmarks):
    """Shape (T, 42) and movement (T, 46), by definition, an axis at a time; NaN where a point or a wrist is missing."""
    points = landmarks[:, RIGHT_HAND].astype(np.float64)
    wrist = points[:, :1].copy()
    points -= wrist
    for axis in range(2):
        seen = points[..., axis][~np.isnan(points[..., axis])]
        size = (np.sqrt(np.mean(seen**2)) if seen.size else 0) or 1
        points[..., axis] /= size
        wrist[..., axis] /= size
    movement = np.zeros((len(points), 23, 2))
    movement[:-2, :21] = points[2:] - points[:-2]
    for step in (1, 2):
        movement[:-step, 20 + step] = wrist[step:, 0] - wrist[:-step, 0]
    return points.reshape(len(points), 42), movement.reshape(len(points), 46)


def expected(layer, landmarks):
    landmarks = right_handed(landmarks)
    published = (numpy_features.features(landmarks, POINTS).reshape(-1, NUM_FEATURES) - layer.mean) / layer.std
    shape, movement = hand(landmarks)
    parts = {
        "published": [published],
        "with-hand": [published, shape * math.sqrt(600 / 42)],
        "hand": [shape, 2 * movement],
    }
    values = np.nan_to_num(np.concatenate(parts[layer.kind], axis=1))
    return np.clip(values, -LOUDEST, LOUDEST) if layer.kind == "hand" else values


def apply(layer, inputs):
    return np.array(layer(inputs["landmarks"], mask=frame_mask(inputs)))


@pytest.mark.parametrize("content", [0.0, np.nan, np.inf, "noise"], ids=str)
@pytest.mark.parametrize(("kind", "width"), [("with-hand", 642), ("hand", 88)])
def test_they_are_those_of_the_definition(make_layer, clips, pad, kind, width, content):
    """Those of `pipeline.dataset.features`, standardized, and the hand; 0 for missing, whatever the padding holds."""
    layer = make_layer(kind)
    found = apply(layer, pad(list(clips.values()), 20, content))
    assert found.shape[-1] == layer.width == width
    for row, (name, each) in zip(found, clips.items(), strict=True):
        np.testing.assert_allclose(row[: len(each)], expected(layer, each), atol=1e-4, err_msg=name)


@pytest.mark.parametrize("kind", ["with-hand", "hand"])
def test_left_handed_signers_look_right_handed(make_layer, clip, pad, kind):
    right = clip(9, np.s_[:, LEFT_HAND], np.s_[3:5])
    both = apply(make_layer(kind), pad([right, augment.mirror(right, POINTS)], 11))
    assert both[0, :9, -42:].any()
    np.testing.assert_allclose(both[0], both[1], atol=1e-4)


def test_a_hand_alone_is_the_same_wherever_it_is(make_layer, clip, pad):
    """And however large, in any picture, beside any face and body, or none."""
    landmarks = clip(9, np.s_[:, LEFT_HAND])
    elsewhere = landmarks * np.float32([0.5, 2]) + np.float32([0.3, -0.2])
    elsewhere[:, POINTS.indices("face", "right_pose", "left_pose")] = np.nan
    both = apply(make_layer("hand"), pad([landmarks, elsewhere], 9))
    np.testing.assert_allclose(both[0], both[1], atol=1e-4)


def test_a_hand_that_is_one_point_is_not_endlessly_loud(make_layer, pad):
    landmarks = np.full((9, 100, 2), 0.5, np.float32)
    landmarks[4:] = 1e34
    found = apply(make_layer("hand"), pad([landmarks], 9))
    assert np.abs(found).max() == LOUDEST


def test_a_task_without_hands_is_seen_as_published(clip, pad):
    points = dataclasses.replace(POINTS, hands=None, mirror=None)
    layer = Features(points, np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES), kind="hand")
    assert layer.kind == "published"
    assert layer.width == apply(layer, pad([clip(5)], 5)).shape[-1] == NUM_FEATURES


def test_without_padding(layer, clips, pad):
    for name, each in clips.items():
        found = apply(layer, pad([each], len(each)))[0]
        np.testing.assert_allclose(found, expected(layer, each), atol=1e-4, err_msg=name)


def test_published_features(published, pad):
    """Of every clip; the inputs are in the order of its columns, the features in that of the network's points."""
    clips = {name.removesuffix("/input"): array for name, array in published.items() if name.endswith("/input")}
    del clips["base_small"]  # features, not landmarks
    assert len(clips) == 8
    layer = Features(POINTS, np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES), kind="published")
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
    found = apply(Features(points, np.zeros(NUM_FEATURES), np.ones(NUM_FEATURES), kind="published"), pad([clip(5)], 5))
    np.testing.assert_array_equal(found.reshape(5, 100, 6)[..., :2], clip(5))
    np.testing.assert_allclose(found[0], numpy_features.features(clip(5), points).reshape(5, -1), atol=1e-6)
