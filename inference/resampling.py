"""Gap-aware resampling in time inside the exported graph: `training.augment.resample` in TensorFlow operations.

Shapes: T frames, N new frames, P = 100 points.
"""

import tensorflow as tf


def positions(frames_N: tf.Tensor, old, new) -> tf.Tensor:
    """Where frames of a sequence resampled from `old` frames to `new` lie among the old ones; all float32."""
    return tf.clip_by_value((frames_N + 0.5) * (old / new) - 0.5, 0.0, tf.maximum(old - 1.0, 0.0))


def interpolate(landmarks_TxPx2: tf.Tensor, position_N: tf.Tensor) -> tf.Tensor:
    """(N, P, 2): the landmarks at fractional frames, gaps neither spreading nor closing."""
    before_N = tf.floor(position_N)
    fraction_Nx1x1 = (position_N - before_N)[:, None, None]
    before_N = tf.cast(before_N, tf.int32)
    after_N = tf.minimum(before_N + 1, tf.shape(landmarks_TxPx2)[0] - 1)
    before = tf.gather(landmarks_TxPx2, before_N)
    after = tf.gather(landmarks_TxPx2, after_N)
    nearest = tf.where(fraction_Nx1x1 < 0.5, before, after)
    mixed = before * (1.0 - fraction_Nx1x1) + after * fraction_Nx1x1
    return tf.where(tf.math.is_nan(mixed), nearest, mixed)
