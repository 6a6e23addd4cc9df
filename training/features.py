"""The network's input: standardised features of landmarks, those of `pipeline.features`, computed inside the model."""

import math

import keras
import numpy as np
from keras import ops

from pipeline import landmarks as lm
from pipeline.features import NUM_FEATURES
from training.layers import frame_axes, frame_numbers

NUM_HAND_SHAPE_FEATURES = 2 * (lm.RIGHT_HAND.stop - lm.RIGHT_HAND.start)
# The hand's shape is to weigh as much as all of the 600 in the network's first layer.
HAND_SHAPE_WEIGHT = math.sqrt(NUM_FEATURES / NUM_HAND_SHAPE_FEATURES)


class Features(keras.layers.Layer):
    """Landmarks (B, T, P, 2), NaN for missing, and mask (B, T) to standardised features (B, T, F), 0 for missing.

    The first 600 are those of `pipeline.features`; their `mean` and `std` (600,) come from the training split. With
    `hand_shape`, a sequence that shows more of the left hand is mirrored first, so that left- and right-handed signers
    look alike; and there follow the points of the right, spelling hand relative to its wrist, divided by their root
    mean square over the sequence: where a face or body is seen, the 600 say where a hand is far louder than what it
    shows.
    """

    def __init__(self, mean: np.ndarray, std: np.ndarray, *, hand_shape: bool, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.supports_masking = True
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)
        self.hand_shape = hand_shape

    @property
    def width(self) -> int:
        """F."""
        return NUM_FEATURES + NUM_HAND_SHAPE_FEATURES * self.hand_shape

    def call(self, landmarks_BxTxPx2, mask):
        # Padding is missing too: NaN, which then spreads to just those features that depend on it.
        position = ops.where(mask[:, :, None, None], landmarks_BxTxPx2, float("nan"))
        if self.hand_shape:
            position = _right_handed(position)
        centre_Bx1x1x2 = _mean_of_seen(position[:, :, lm.CENTRE_POINT, None], default=0.5)
        normalised = _divided_by_rms(position - centre_Bx1x1x2)
        steps = [_step(normalised, mask, frames) for frames in (1, 2)]
        parts = [(_per_frame(ops.concatenate([normalised, *steps], axis=-1), NUM_FEATURES) - self.mean) / self.std]
        if self.hand_shape:
            shape = _divided_by_rms(position[:, :, lm.RIGHT_HAND] - position[:, :, lm.RIGHT_WRIST, None])
            parts.append(_per_frame(shape, NUM_HAND_SHAPE_FEATURES) * HAND_SHAPE_WEIGHT)
        features = ops.concatenate(parts, axis=-1)
        return ops.where(ops.isnan(features), 0.0, features)


def _right_handed(position_BxTxPx2):
    """The sequences that show the left hand in more frames than the right one mirrored, the others as they are."""
    partners = ops.take(position_BxTxPx2, lm.MIRROR, axis=2)
    mirrored = partners * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    frames_right_B, frames_left_B = (
        ops.sum(ops.cast(ops.logical_not(ops.isnan(position_BxTxPx2[:, :, wrist, 0])), "float32"), axis=1)
        for wrist in (lm.RIGHT_WRIST, lm.LEFT_WRIST)
    )
    return ops.where((frames_left_B > frames_right_B)[:, None, None, None], mirrored, position_BxTxPx2)


def _divided_by_rms(values_BxTxPx2):
    """Each coordinate divided by its root mean square over the sequence's frames and points."""
    scale_Bx1x1x2 = ops.sqrt(_mean_of_seen(ops.square(values_BxTxPx2), default=1.0))
    return values_BxTxPx2 / ops.where(scale_Bx1x1x2 > 0, scale_Bx1x1x2, 1.0)


def _per_frame(values_BxTxPxC, width: int):
    return ops.reshape(values_BxTxPxC, (*frame_axes(values_BxTxPxC), width))


def _mean_of_seen(values_BxTxPx2, default: float):
    """(B, 1, 1, 2) mean over the frames and points that are not NaN, `default` where all are."""
    seen = ops.logical_not(ops.isnan(values_BxTxPx2))
    count = ops.sum(ops.cast(seen, "float32"), axis=(1, 2), keepdims=True)
    total = ops.sum(ops.where(seen, values_BxTxPx2, 0.0), axis=(1, 2), keepdims=True)
    return ops.where(count > 0, total / ops.maximum(count, 1.0), default)


def _step(values_BxTxPx2, mask, frames: int):
    """Movement to the frame that comes `frames` later; 0 in the sequence's last frames, seen or not."""
    ahead = ((0, 0), (0, frames), (0, 0), (0, 0))
    movement = ops.pad(values_BxTxPx2, ahead)[:, frames:] - values_BxTxPx2
    num_frames_Bx1 = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
    at_end = ops.logical_and(frame_numbers(mask)[None, :] >= num_frames_Bx1 - frames, mask)
    return ops.where(at_end[:, :, None, None], 0.0, movement)
