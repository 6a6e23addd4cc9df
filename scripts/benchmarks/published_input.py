"""The published way to feed the network, for `scripts.benchmarks.training`: all of it for each example, in `tf.data`.

Augmentation, resizing to the frame budget, features and standardization of one clip after the other, padded to the
frame budget, with as many threads as `tf.data` finds best. Written anew from the description of the published solution;
its known faults (gaps that spread, a scale that is taken back) are left in, as they cost time.
"""

import math

import numpy as np
import tensorflow as tf

from pipeline.tasks.body import POINTS
from training.data.corpus import Corpus


def batches(
    corpus: Corpus, mean: np.ndarray, std: np.ndarray, *, max_frames: int, batch_size: int, features: bool
) -> tf.data.Dataset:
    """One epoch, shuffled: features (B, max_frames, 600), or landmarks (B, max_frames, 200) without them."""
    frames = tf.constant(corpus.frames)
    order = np.random.default_rng(0).permutation(len(corpus))

    def example(start, num_frames, label):
        x = augment(frames[start : start + num_frames])
        x = as_features(x, max_frames, mean, std) if features else tf.reshape(shortened(x, max_frames), (-1, 200))
        return x, label

    arrays = (corpus.starts[order], corpus.num_frames[order], corpus.label_ids[order])
    examples = tf.data.Dataset.from_tensor_slices(arrays).map(example, tf.data.AUTOTUNE, deterministic=False)
    shapes = ([max_frames, 600 if features else 200], [None])
    return examples.padded_batch(batch_size, padded_shapes=shapes, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def augment(x):
    for probability, change in ((0.8, resample), (0.5, flip), (0.75, affine), (0.5, time_mask), (0.5, spatial_mask)):
        x = tf.cond(tf.random.uniform(()) < probability, lambda x=x, change=change: change(x), lambda x=x: x)
    return x


def resample(x):
    num_frames = tf.cast(tf.shape(x)[0], tf.float32) * tf.random.uniform((), 0.5, 1.5)
    return resized(x, tf.maximum(1, tf.cast(num_frames, tf.int32)))


def flip(x):
    mirrored = tf.gather(x, POINTS.mirror, axis=1)
    return tf.stack([1 - mirrored[..., 0], mirrored[..., 1]], axis=-1)


def affine(x):
    x = (x - 0.5) * tf.random.uniform((), 0.8, 1.2)
    shear = tf.random.uniform((), -0.15, 0.15)
    across = tf.cond(
        tf.random.uniform(()) < 0.5, lambda: [[1.0, shear], [0.0, 1.0]], lambda: [[1.0, 0.0], [shear, 1.0]]
    )
    angle = tf.random.uniform((), -math.pi / 6, math.pi / 6)
    turn = [[tf.cos(angle), tf.sin(angle)], [-tf.sin(angle), tf.cos(angle)]]
    return x @ tf.convert_to_tensor(across) @ tf.convert_to_tensor(turn) + 0.5 + tf.random.uniform((2,), -0.1, 0.1)


def time_mask(x):
    num_frames = tf.cast(tf.shape(x)[0], tf.float32)
    size = tf.cast(num_frames * tf.random.uniform((), 0.2, 0.4), tf.int32)
    first = tf.random.uniform((), 0, tf.shape(x)[0] - size + 1, tf.int32)
    frames = tf.range(tf.shape(x)[0])
    masked = (frames >= first) & (frames < first + size)
    return tf.where(masked[:, None, None], math.nan, x)


def spatial_mask(x):
    size, corner = tf.random.uniform((), 0.2, 0.4), tf.random.uniform((2,))
    inside = tf.reduce_all((x >= corner) & (x < corner + size), axis=-1, keepdims=True)
    return tf.where(inside, math.nan, x)


def as_features(x, max_frames: int, mean: np.ndarray, std: np.ndarray):
    """(T, 600) standardized: centred on the lip, scaled, with steps; resized after the steps were taken."""
    lip = x[:, POINTS.centre]
    centre = nan_mean(lip, axis=0)
    x = x - tf.where(tf.math.is_nan(centre), 0.5, centre)
    x = x / tf.sqrt(nan_mean(tf.square(x), axis=(0, 1)))
    steps = [tf.pad(x[n:] - x[:-n], [[0, tf.minimum(n, tf.shape(x)[0])], [0, 0], [0, 0]]) for n in (1, 2)]
    x = tf.reshape(tf.concat([x, *steps], axis=-1), (-1, 600))
    x = (shortened(x[..., None], max_frames)[..., 0] - mean) / std
    return tf.where(tf.math.is_nan(x), 0.0, x)


def nan_mean(x, axis):
    seen = tf.logical_not(tf.math.is_nan(x))
    return tf.reduce_sum(tf.where(seen, x, 0.0), axis) / tf.reduce_sum(tf.cast(seen, x.dtype), axis)


def shortened(x, max_frames: int):
    return tf.cond(tf.shape(x)[0] > max_frames, lambda: resized(x, max_frames), lambda: x)


def resized(x, num_frames):
    return tf.image.resize(x, (num_frames, x.shape[1]))
