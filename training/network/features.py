"""The network's input: standardized features of landmarks, those of `pipeline.dataset.features`, inside the model.

Shapes: B clips, T frames, P points, D dimensions of a point, F features.
"""

import math

import keras
import numpy as np
from keras import ops

from pipeline.dataset.features import DEFAULT_CENTRE, num_features
from pipeline.tasks.task import Points
from training.network.layers import frame_axes, frame_numbers


class Features(keras.layers.Layer):
    """Landmarks (B, T, P, D), NaN for missing, and mask (B, T) to standardized features (B, T, F), 0 for missing.

    The first are those of `pipeline.dataset.features`; their `mean` and `std` come from the training split. With
    `hand_shape`, a clip that shows more of the left hand is mirrored first, so that left- and right-handed signers look
    alike; and there follow the points of the right, spelling hand relative to its wrist, divided by their root mean
    square over the clip: where a face or body is seen, the others say where a hand is far louder than what it shows.
    """

    def __init__(self, points: Points, mean: np.ndarray, std: np.ndarray, *, hand_shape: bool, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.supports_masking = True
        self.points = points
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)
        # Only of points of two hands in a picture.
        in_picture = points.axes == "xy" and points.mirror is not None
        self.hand_shape = hand_shape and points.hands is not None and in_picture
        self._hand = points.groups[points.hands[0]] if points.hands else slice(0, 0)
        self._num_features = num_features(points)
        self._num_shape_features = (self._hand.stop - self._hand.start) * points.shape[1] if self.hand_shape else 0

    @property
    def width(self) -> int:
        """F."""
        return self._num_features + self._num_shape_features

    def call(self, landmarks_BxTxPxD, mask):
        # Padding is missing too: NaN, which then spreads to just those features that depend on it.
        position = ops.where(mask[:, :, None, None], landmarks_BxTxPxD, float("nan"))
        if self.hand_shape:
            position = _right_handed(position, self.points)
        normalized = position
        if self.points.centre is not None:
            centre_Bx1x1xD = _mean_of_seen(position[:, :, self.points.centre, None], default=DEFAULT_CENTRE)
            normalized = _divided_by_rms(position - centre_Bx1x1xD)
        steps = [_step(normalized, mask, frames) for frames in (1, 2)]
        values = _per_frame(ops.concatenate([normalized, *steps], axis=-1), self._num_features)
        parts = [(values - self.mean) / self.std]
        if self.hand_shape:
            shape = _divided_by_rms(position[:, :, self._hand] - position[:, :, self._hand.start, None])
            # The hand's shape is to weigh as much as all of the others in the network's first layer.
            weight = math.sqrt(self._num_features / self._num_shape_features)
            parts.append(_per_frame(shape, self._num_shape_features) * weight)
        features = ops.concatenate(parts, axis=-1)
        return ops.where(ops.isnan(features), 0.0, features)


def _right_handed(position_BxTxPx2, points: Points):
    """The clips that show the left hand in more frames than the right one mirrored, the others as they are."""
    partners = ops.take(position_BxTxPx2, points.mirror, axis=2)
    mirrored = partners * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    frames_right_B, frames_left_B = (
        ops.sum(ops.cast(ops.logical_not(ops.isnan(position_BxTxPx2[:, :, wrist, 0])), "float32"), axis=1)
        for wrist in points.wrists
    )
    return ops.where((frames_left_B > frames_right_B)[:, None, None, None], mirrored, position_BxTxPx2)


def _divided_by_rms(values_BxTxPxD):
    """Each coordinate divided by its root mean square over the clip's frames and points."""
    scale_Bx1x1xD = ops.sqrt(_mean_of_seen(ops.square(values_BxTxPxD), default=1.0))
    return values_BxTxPxD / ops.where(scale_Bx1x1xD > 0, scale_Bx1x1xD, 1.0)


def _per_frame(values_BxTxPxC, width: int):
    return ops.reshape(values_BxTxPxC, (*frame_axes(values_BxTxPxC), width))


def _mean_of_seen(values_BxTxPxD, default: float):
    """(B, 1, 1, D) mean over the frames and points that are not NaN, `default` where all are."""
    seen = ops.logical_not(ops.isnan(values_BxTxPxD))
    count = ops.sum(ops.cast(seen, "float32"), axis=(1, 2), keepdims=True)
    total = ops.sum(ops.where(seen, values_BxTxPxD, 0.0), axis=(1, 2), keepdims=True)
    return ops.where(count > 0, total / ops.maximum(count, 1.0), default)


def _step(values_BxTxPxD, mask, frames: int):
    """Movement to the frame that comes `frames` later; 0 in the clip's last frames, seen or not."""
    ahead = ((0, 0), (0, frames), (0, 0), (0, 0))
    movement = ops.pad(values_BxTxPxD, ahead)[:, frames:] - values_BxTxPxD
    num_frames_Bx1 = ops.sum(ops.cast(mask, "float32"), axis=1, keepdims=True)
    at_end = ops.logical_and(frame_numbers(mask)[None, :] >= num_frames_Bx1 - frames, mask)
    return ops.where(at_end[:, :, None, None], 0.0, movement)
