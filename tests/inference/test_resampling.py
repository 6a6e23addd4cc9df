import numpy as np
import pytest
import tensorflow as tf

from inference.resampling import interpolate, positions
from pipeline import landmarks as lm
from training.augment import resample


@pytest.mark.parametrize("new", [1, 2, 3, 7, 15, 20, 21, 39, 60])
def test_it_is_the_one_that_batches_are_made_with(new):
    landmarks = np.random.default_rng(new).normal(0.4, 0.2, (20, lm.NUM_POINTS, 2)).astype(np.float32)
    landmarks[3:6] = np.nan
    landmarks[10, lm.LEFT_HAND] = np.nan
    landmarks[15:, lm.RIGHT_HAND] = np.nan
    landmarks[0, 5, 1] = np.nan
    found = interpolate(landmarks, positions(tf.range(float(new)), 20.0, float(new)))
    np.testing.assert_allclose(found, resample(landmarks, new), atol=1e-6)
