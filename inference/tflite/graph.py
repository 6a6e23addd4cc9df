"""The exported graph: raw columns in, an answer out, everything between included. Needs TensorFlow.

Shapes: T frames, W frames of a window, K columns, P points, D dimensions of a point, N frames after resampling, U
frames of the encoder, V outputs of the head, C classes decoded.
"""

import math

import tensorflow as tf

from training.network.layers import frame_numbers
from training.network.model import Model

# Infinite values become missing. TFLite has no built-in operator that tells infinity from a number.
LARGEST = 3e38


def clip_outputs(model: Model, inputs: tf.Tensor, max_frames: int) -> tf.Tensor:
    """Outputs (U, V), or (V,), of a clip at its own length, or at the frame budget if it is longer.

    Args:
      inputs: (T, *frame) as the task's export contract says, NaN for missing; no frames are as one all-missing frame.
    """
    points = model.task.points.shape
    landmarks = _coordinates(model, inputs)
    given = tf.maximum(1.0, tf.cast(tf.shape(landmarks)[0], tf.float32))
    num_frames = tf.minimum(given, float(max_frames))
    # An all-missing frame at the end: the only frame of none, else padding, cut off again after the network. So every
    # shape that the network meets follows from the input's; see `training.network.layers`.
    landmarks = tf.reshape(tf.pad(landmarks, [[0, 1], [0, 0]], constant_values=float("nan")), (-1, *points))
    frames_N = frame_numbers(landmarks[None, : max_frames + 1, 0, 0])
    landmarks = interpolate(landmarks, positions(frames_N, given, num_frames))
    num_frames = tf.cast(num_frames, tf.int32)
    outputs = model({"landmarks": landmarks[None], "num_frames": num_frames[None]}, training=False)[0]
    return outputs[: model.frames(num_frames)] if model.head.per_frame else outputs


def window_outputs(
    model: Model, inputs: tf.Tensor, num_frames_1: tf.Tensor, max_frames: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The same of a clip that stands at the beginning of a window, with every shape known when the file is made.

    Args:
      inputs: (window, *frame); frames from the clip's end on may be anything.
      num_frames_1: (1,) int32, how many are the clip's; none are as one all-missing frame.

    Returns:
      Outputs (U, V) of a full window, of which those from the clip's end on mean nothing, or (1, V); and (1,) int32,
      how many of these rows are the clip's.
    """
    window = inputs.shape[0]
    landmarks = tf.reshape(_coordinates(model, inputs), (window, *model.task.points.shape))
    frames_W = tf.range(window, dtype=tf.float32)
    num_frames_1 = tf.cast(num_frames_1, tf.float32)
    landmarks = tf.where((frames_W < num_frames_1)[:, None, None], landmarks, float("nan"))
    given_1 = tf.clip_by_value(num_frames_1, 1.0, float(window))
    kept_1 = tf.minimum(given_1, float(max_frames))
    landmarks = interpolate(landmarks, positions(frames_W[:max_frames], given_1, kept_1))
    kept_1 = tf.cast(kept_1, tf.int32)
    outputs = model({"landmarks": landmarks[None], "num_frames": kept_1}, training=False)
    if model.head.per_frame:
        return outputs[0], tf.cast(model.frames(kept_1), tf.int32)
    return outputs, tf.ones_like(kept_1)


def _coordinates(model: Model, inputs: tf.Tensor) -> tf.Tensor:
    """(T, P * D): those of the task's points, of inputs (T, *frame); what is infinite is missing."""
    contract = model.task.contract
    inputs_TxK = tf.reshape(inputs, (-1, math.prod(contract.frame)))
    coordinates = tf.gather(inputs_TxK, contract.index.ravel(), axis=1)
    return tf.where(tf.abs(coordinates) < LARGEST, coordinates, float("nan"))


def positions(frames_N: tf.Tensor, old, new) -> tf.Tensor:
    """Where frames of a clip resampled from `old` frames to `new` lie among the old ones; all float32."""
    return tf.clip_by_value((frames_N + 0.5) * (old / new) - 0.5, 0.0, tf.maximum(old - 1.0, 0.0))


def interpolate(landmarks_TxPxD: tf.Tensor, position_N: tf.Tensor) -> tf.Tensor:
    """(N, P, D): the landmarks at fractional frames, gaps neither spreading nor closing.

    As `training.data.augment.resample`.
    """
    before_N = tf.floor(position_N)
    fraction_Nx1x1 = (position_N - before_N)[:, None, None]
    before_N = tf.cast(before_N, tf.int32)
    after_N = tf.minimum(before_N + 1, tf.shape(landmarks_TxPxD)[0] - 1)
    before = tf.gather(landmarks_TxPxD, before_N)
    after = tf.gather(landmarks_TxPxD, after_N)
    nearest = tf.where(fraction_Nx1x1 < 0.5, before, after)
    mixed = before * (1.0 - fraction_Nx1x1) + after * fraction_Nx1x1
    return tf.where(tf.math.is_nan(mixed), nearest, mixed)
