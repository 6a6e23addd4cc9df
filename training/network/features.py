"""The network's input: features of landmarks, computed inside the model.

Shapes: B clips, T frames, P points, D dimensions of a point, F features.
"""

import math

import keras
import numpy as np
from keras import ops

from pipeline.dataset.features import DEFAULT_CENTRE, num_features
from pipeline.tasks.task import Points
from training.network.layers import frame_axes, frame_numbers

LOUDEST = 100.0  # of the features of a hand alone: that many sizes of it


class Features(keras.layers.Layer):
    """Landmarks (B, T, P, D), NaN for missing, and mask (B, T) to features (B, T, F), 0 for missing.

    By `kind`, of `training.config.Features`:

      published  those of `pipeline.dataset.features` of all points, standardized; their `mean` and `std` come from the
                 training split
      with-hand  these, and the shape of the spelling hand: where a face or body is seen, they say where a hand is far
                 louder than what it shows
      hand       the shape of the spelling hand and its movement, and nothing else

    The shape: the hand's points relative to its wrist, divided by their root mean square over the clip. The movement:
    how the shape changes within two frames, and how the wrist moves within one and two, in the same unit. With
    `with-hand` and `hand` a clip that shows more of the left hand is mirrored first, so that left- and right-handed
    signers look alike.
    """

    def __init__(self, points: Points, mean: np.ndarray, std: np.ndarray, *, kind: str, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.supports_masking = True
        self.points = points
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)
        # A hand can only be looked at where there are points of two hands in a picture.
        has_hands = points.hands is not None and points.axes == "xy" and points.mirror is not None
        self.kind = kind if has_hands else "published"
        self._hand = points.groups[points.hands[0]] if points.hands else slice(0, 0)
        self._num_published = num_features(points) if self.kind != "hand" else 0
        self._num_shape = (self._hand.stop - self._hand.start) * points.shape[1] if self.kind != "published" else 0
        self._num_movement = self._num_shape + 2 * points.shape[1] if self.kind == "hand" else 0

    @property
    def width(self) -> int:
        """F."""
        return self._num_published + self._num_shape + self._num_movement

    def call(self, landmarks_BxTxPxD, mask):
        # Padding is missing too: NaN, which then spreads to just those features that depend on it.
        position = ops.where(mask[:, :, None, None], landmarks_BxTxPxD, float("nan"))
        if self.kind != "published":
            position = _right_handed(position, self.points)
        parts = []
        if self.kind != "hand":
            parts.append(self._published(position, mask))
        if self.kind != "published":
            parts += self._of_hand(position, mask)
        features = ops.concatenate(parts, axis=-1)
        features = ops.where(ops.isnan(features), 0.0, features)
        # A hand that is one point, but moves, would be as loud as one likes, up to infinity.
        return ops.clip(features, -LOUDEST, LOUDEST) if self.kind == "hand" else features

    def _published(self, position_BxTxPxD, mask):
        normalized = position_BxTxPxD
        if self.points.centre is not None:
            centre_Bx1x1xD = _mean_of_seen(position_BxTxPxD[:, :, self.points.centre, None], default=DEFAULT_CENTRE)
            normalized = position_BxTxPxD - centre_Bx1x1xD
            normalized = normalized / _rms(normalized)
        steps = [_step(normalized, mask, frames) for frames in (1, 2)]
        values = _per_frame(ops.concatenate([normalized, *steps], axis=-1), self._num_published)
        return (values - self.mean) / self.std

    def _of_hand(self, position_BxTxPxD, mask):
        wrist_BxTx1xD = position_BxTxPxD[:, :, self._hand.start, None]
        relative = position_BxTxPxD[:, :, self._hand] - wrist_BxTx1xD
        size_Bx1x1xD = _rms(relative)
        shape_BxTxHxD, wrist_BxTx1xD = relative / size_Bx1x1xD, wrist_BxTx1xD / size_Bx1x1xD
        shape = _per_frame(shape_BxTxHxD, self._num_shape)
        if self.kind == "with-hand":
            # It is to weigh as much as all of the others in the network's first layer.
            return [shape * math.sqrt(self._num_published / self._num_shape)]
        steps = [_step(shape_BxTxHxD, mask, 2), *(_step(wrist_BxTx1xD, mask, frames) for frames in (1, 2))]
        # Twice: within two frames little moves, and what does is to be as loud as the shape.
        return [shape, _per_frame(ops.concatenate(steps, axis=2), self._num_movement) * 2.0]


def _right_handed(position_BxTxPx2, points: Points):
    """The clips that show the left hand in more frames than the right one mirrored, the others as they are."""
    partners = ops.take(position_BxTxPx2, points.mirror, axis=2)
    mirrored = partners * np.array([-1, 1], np.float32) + np.array([1, 0], np.float32)
    frames_right_B, frames_left_B = (
        ops.sum(ops.cast(ops.logical_not(ops.isnan(position_BxTxPx2[:, :, wrist, 0])), "float32"), axis=1)
        for wrist in points.wrists
    )
    return ops.where((frames_left_B > frames_right_B)[:, None, None, None], mirrored, position_BxTxPx2)


def _rms(values_BxTxPxD):
    """(B, 1, 1, D) the root mean square of each coordinate over the clip's frames and points; 1 where it is 0."""
    scale_Bx1x1xD = ops.sqrt(_mean_of_seen(ops.square(values_BxTxPxD), default=1.0))
    return ops.where(scale_Bx1x1xD > 0, scale_Bx1x1xD, 1.0)


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
