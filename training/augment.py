"""Augmentation of one sequence's landmarks, and gap-aware resampling in time. TensorFlow, inside `tf.data`.

Everything here acts on raw landmarks (T, P, 2), before the features' per-sequence normalisation, and each augmentation
is one that survives it (scaling a whole sequence, for one, would not). NaN marks missing values and stays missing.
"""

import math

import tensorflow as tf

from pipeline import landmarks as lm
from training import config as cfg


def augment(landmarks_TxPx2: tf.Tensor, config: cfg.Augment, seed: tf.Tensor) -> tf.Tensor:
    """A random variation of a sequence: mirror, affine map and time mask, each with its probability.

    Resampling in time is the fourth augmentation: the batch plan draws the new number of frames, so that batches hold
    sequences of similar length, and the pipeline calls `resample`.

    Args:
      landmarks_TxPx2: float32, NaN for missing.
      config: probabilities and ranges.
      seed: (2,) int32; the same seed gives the same result.
    """
    seeds = tf.unstack(tf.random.split(seed, 3))
    x = _sometimes(config.mirror_probability, seeds[0], landmarks_TxPx2, mirror)
    x = _sometimes(config.affine_probability, seeds[1], x, lambda y: affine(y, config, seeds[1]))
    return _sometimes(config.time_mask_probability, seeds[2], x, lambda y: time_mask(y, config, seeds[2]))


def resample(landmarks_TxPx2: tf.Tensor, num_frames) -> tf.Tensor:
    """Resamples to `num_frames` frames, linearly in time between frame centres.

    A gap neither spreads nor closes: where one of the two neighbouring frames misses a point, the nearer one decides
    whether it is missing, and gives its position if not. With as many frames as before, the result is the same.
    """
    old = tf.cast(tf.shape(landmarks_TxPx2)[0], tf.float32)
    new = tf.cast(num_frames, tf.float32)
    return interpolate(landmarks_TxPx2, positions(tf.range(new), old, new))


def positions(frames_N: tf.Tensor, old, new) -> tf.Tensor:
    """Where frames of a sequence resampled from `old` frames to `new` lie among the old ones; all float32."""
    return tf.clip_by_value((frames_N + 0.5) * (old / new) - 0.5, 0.0, tf.maximum(old - 1.0, 0.0))


def interpolate(landmarks_TxPx2: tf.Tensor, position_N: tf.Tensor) -> tf.Tensor:
    """(N, P, 2): the landmarks at fractional frames, as `resample` says."""
    before_N = tf.floor(position_N)
    fraction_Nx1x1 = (position_N - before_N)[:, None, None]
    before_N = tf.cast(before_N, tf.int32)
    after_N = tf.minimum(before_N + 1, tf.shape(landmarks_TxPx2)[0] - 1)
    before = tf.gather(landmarks_TxPx2, before_N)
    after = tf.gather(landmarks_TxPx2, after_N)
    nearest = tf.where(fraction_Nx1x1 < 0.5, before, after)
    mixed = before * (1.0 - fraction_Nx1x1) + after * fraction_Nx1x1
    return tf.where(tf.math.is_nan(mixed), nearest, mixed)


def mirror(landmarks_TxPx2: tf.Tensor) -> tf.Tensor:
    """Left becomes right: x is reflected, and each point takes its mirror partner's place. Twice is the identity."""
    flipped = tf.gather(landmarks_TxPx2, lm.MIRROR, axis=1)
    return flipped * [-1.0, 1.0] + [1.0, 0.0]


def affine(landmarks_TxPx2: tf.Tensor, config: cfg.Augment, seed) -> tf.Tensor:
    """Rotates and shears about the image's middle, and shifts.

    The rotation is rigid in an image of the assumed aspect ratio (jittered by 10 %). The features' normalisation takes
    the shift back only where a face is seen; a common scale it would always take back, so there is none.
    """
    angle, shear, shear_axis, shift_x, shift_y, jitter = tf.unstack(tf.random.stateless_uniform((6,), seed, -1.0, 1.0))
    radians = angle * math.radians(config.rotation_degrees)
    cos, sin = tf.cos(radians), tf.sin(radians)
    aspect = config.aspect_ratio * (1.0 + 0.1 * jitter)
    shear = shear * config.shear
    shear_x, shear_y = tf.where(shear_axis < 0, shear, 0.0), tf.where(shear_axis < 0, 0.0, shear)
    # In units of the image's width, y runs from 0 to the aspect ratio.
    x = landmarks_TxPx2[..., 0] - 0.5
    y = (landmarks_TxPx2[..., 1] - 0.5) * aspect
    x, y = cos * x - sin * y, sin * x + cos * y
    x, y = x + shear_x * y, y + shear_y * x
    shifts = config.shift * tf.stack([shift_x, shift_y])
    return tf.stack([x, y / aspect], axis=-1) + 0.5 + shifts


def time_mask(landmarks_TxPx2: tf.Tensor, config: cfg.Augment, seed) -> tf.Tensor:
    """Makes a window of the frames missing."""
    length, start = tf.unstack(tf.random.stateless_uniform((2,), seed))
    num_frames = tf.cast(tf.shape(landmarks_TxPx2)[0], tf.float32)
    window = num_frames * (config.time_mask_low + (config.time_mask_high - config.time_mask_low) * length)
    first = start * (num_frames - window)
    frames = tf.range(num_frames)
    masked_T = tf.logical_and(frames >= first, frames < first + window)
    return tf.where(masked_T[:, None, None], math.nan, landmarks_TxPx2)


def _sometimes(probability: float, seed, x, change):
    # Folded, so that the decision and what `change` draws from the same seed are independent.
    decided = tf.random.stateless_uniform((), tf.random.fold_in(seed, 1)) < probability
    return tf.cond(decided, lambda: change(x), lambda: x)
