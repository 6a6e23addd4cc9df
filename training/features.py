"""The network's input: standardised features of landmarks, those of `pipeline.features`, computed inside the model."""

import keras
import numpy as np
from keras import ops

from pipeline import landmarks as lm
from pipeline.features import NUM_FEATURES


class Features(keras.layers.Layer):
    """Landmarks (B, T, P, 2), NaN for missing, and mask (B, T) to standardised features (B, T, 600), 0 for missing.

    See `pipeline.features` for what the features are. `mean` and `std` (600,) come from the training split.
    """

    def __init__(self, mean: np.ndarray, std: np.ndarray, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.supports_masking = True
        self.mean = np.asarray(mean, np.float32)
        self.std = np.asarray(std, np.float32)

    def call(self, landmarks_BxTxPx2, mask):
        # Padding is treated as missing for the sequence's own statistics and for the steps between frames.
        seen = ops.logical_and(mask[:, :, None, None], ops.logical_not(ops.isnan(landmarks_BxTxPx2)))
        position = ops.where(seen, landmarks_BxTxPx2, 0.0)
        weight = ops.cast(seen, "float32")

        lip_weight_BxTx2 = weight[:, :, lm.CENTRE_POINT]
        lip_frames_Bx2 = ops.sum(lip_weight_BxTx2, axis=1)
        lip_mean_Bx2 = ops.sum(position[:, :, lm.CENTRE_POINT], axis=1) / ops.maximum(lip_frames_Bx2, 1.0)
        centre_Bx2 = ops.where(lip_frames_Bx2 > 0, lip_mean_Bx2, 0.5)
        offset = ops.where(seen, position - centre_Bx2[:, None, None, :], 0.0)
        points_Bx2 = ops.maximum(ops.sum(weight, axis=(1, 2)), 1.0)
        scale_Bx2 = ops.sqrt(ops.sum(ops.square(offset), axis=(1, 2)) / points_Bx2)
        normalised = offset / ops.where(scale_Bx2 > 0, scale_Bx2, 1.0)[:, None, None, :]

        num_frames_B = ops.sum(ops.cast(mask, "int32"), axis=1)
        parts = [(normalised, seen)]
        for step in (1, 2):
            parts.append(_step(normalised, seen, num_frames_B, step))
        features = ops.concatenate([values for values, _ in parts], axis=-1)
        known = ops.concatenate([known for _, known in parts], axis=-1)
        shape = (-1, ops.shape(features)[1], NUM_FEATURES)
        standardised = (ops.reshape(features, shape) - self.mean) / self.std
        # The zeros at the sequence's end are values, not gaps: standardised like any other.
        return ops.where(ops.reshape(known, shape), standardised, 0.0)


def _step(values_BxTxPx2, seen_BxTxPx2, num_frames_B, step: int):
    """Movement to the frame `step` later, 0 in the sequence's last `step` frames; and where it is known."""
    ahead = ((0, 0), (0, step), (0, 0), (0, 0))
    later_values = ops.pad(values_BxTxPx2, ahead)[:, step:]
    later_seen = ops.pad(seen_BxTxPx2, ahead)[:, step:]
    frames = ops.arange(ops.shape(values_BxTxPx2)[1])[None, :]
    inside = (frames < num_frames_B[:, None])[:, :, None, None]
    at_end = ops.logical_and(inside, (frames >= num_frames_B[:, None] - step)[:, :, None, None])
    both_seen = ops.logical_and(seen_BxTxPx2, later_seen)
    return ops.where(both_seen, later_values - values_BxTxPx2, 0.0), ops.logical_or(both_seen, at_end)
