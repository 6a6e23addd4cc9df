import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.dataset import moments
from pipeline.dataset.features import features
from pipeline.dataset.moments import Moments
from pipeline.tasks.body import POINTS

NUM_FEATURES = 600


def values(seed, num_frames, offset=0.0):
    random = np.random.default_rng(seed)
    values = (random.normal(offset, 1 + seed, (num_frames, NUM_FEATURES))).astype(np.float32)
    values[random.random(values.shape) < 0.3] = np.nan
    values[:, 5] = np.nan
    return values


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 20), min_size=1, max_size=6),
    offset=st.sampled_from([0.0, 1.0, -1000.0]),
    order=st.randoms(use_true_random=False),
)
def test_merged_in_any_order_they_are_those_of_two_passes(sizes, offset, order):
    parts = [values(seed, size, offset) for seed, size in enumerate(sizes)]
    everything = np.concatenate(parts).astype(np.float64)
    order.shuffle(parts)
    merged = moments.merge(map(Moments.of, parts))
    count = (~np.isnan(everything)).sum(axis=0)
    mean = np.nansum(everything, axis=0) / np.maximum(count, 1)
    std = np.sqrt(np.nansum((everything - mean) ** 2, axis=0) / np.maximum(count, 1))
    np.testing.assert_array_equal(merged.count, count)
    np.testing.assert_allclose(merged.feature_mean, mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(merged.feature_std, np.where(std > 1e-6, std, 1), rtol=1e-6)


def test_never_seen_and_never_changing():
    constant = np.zeros((4, NUM_FEATURES), np.float32)
    constant[:, 0] = np.nan
    constant[:, 1] = 0.1
    found = Moments.of(constant)
    assert found.feature_mean[0] == 0
    assert found.feature_mean[1] == np.float32(0.1)
    assert (found.feature_std == 1).all()
    assert found.feature_std.dtype == np.float32


def test_json_is_exact():
    found = Moments.of(values(3, 9))
    again = Moments.from_json(json.loads(json.dumps(found.as_json())))
    for name in ("count", "mean", "m2"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))


def test_the_published_statistics(published):
    """Over the features of several clips together, as the notebook computes them."""
    order = published["point_landmarks"]
    clips = [published[f"{name}/input"][:, order] for name in published["statistics/names"]]
    found = moments.merge(Moments.of(features(clip, POINTS)) for clip in clips)
    np.testing.assert_array_equal(found.count, published["statistics/count"])
    np.testing.assert_allclose(found.feature_mean, published["statistics/mean"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.feature_std, published["statistics/std"], rtol=1e-4, atol=1e-5)
