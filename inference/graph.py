"""The exported graph: raw columns in, characters out, everything between included. Needs TensorFlow.

Shapes: T frames, P = 100 points, V = 60 classes, C characters.
"""

import tensorflow as tf

from inference.resampling import interpolate, positions
from pipeline import landmarks as lm
from pipeline import vocabulary
from training.layers import frame_numbers
from training.model import Recogniser

# Infinite values become missing. TFLite has no built-in operator that tells infinity from a number.
LARGEST = 3e38


def frame_logits(model: Recogniser, inputs_TxK: tf.Tensor, max_frames: int) -> tf.Tensor:
    """Logits (frames, V) of a clip at its own length, or at the frame budget if it is longer.

    Args:
      inputs_TxK: columns in the order of `landmarks.COLUMNS`, NaN for missing; no frames are as one all-missing frame.
    """
    landmarks = tf.transpose(tf.reshape(inputs_TxK, (-1, 2, lm.NUM_POINTS)), (0, 2, 1))
    landmarks = tf.where(tf.abs(landmarks) < LARGEST, landmarks, float("nan"))
    given = tf.maximum(1.0, tf.cast(tf.shape(landmarks)[0], tf.float32))
    num_frames = tf.minimum(given, float(max_frames))
    # An all-missing frame at the end: the only frame of none, else padding, cut off again after the network. So every
    # shape that the network meets follows from the input's; see `training.layers`.
    landmarks = tf.concat([landmarks, tf.fill((1, lm.NUM_POINTS, 2), float("nan"))], axis=0)
    frames_N = frame_numbers(landmarks[None, : max_frames + 1, 0, 0])
    landmarks = interpolate(landmarks, positions(frames_N, given, num_frames))
    num_frames = tf.cast(num_frames, tf.int32)
    logits_NxV = model({"landmarks": landmarks[None], "num_frames": num_frames[None]}, training=False)[0]
    return logits_NxV[:num_frames]


def decode(logits_TxV: tf.Tensor) -> tf.Tensor:
    """One-hot rows (C, 59) of the greedily decoded characters: repeats merged, blanks removed.

    Where nothing is recognised, one row: a space.
    """
    best = tf.argmax(logits_TxV, axis=-1, output_type=tf.int32)
    before = tf.concat([[-1], best[:-1]], axis=0)
    starts_run = tf.logical_and(tf.not_equal(best, before), tf.not_equal(best, vocabulary.BLANK))
    characters = tf.gather(best, tf.where(starts_run)[:, 0])
    nothing = tf.maximum(0, 1 - tf.shape(characters)[0])
    space = vocabulary.CHARACTER_TO_INDEX[" "]
    characters = tf.pad(characters, [[0, nothing]], constant_values=space)
    return tf.one_hot(characters, vocabulary.NUM_CHARACTERS)
