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
        # Padding is missing too: NaN, which then spreads to just those features that depend on it.
        position = ops.where(mask[:, :, None, None], landmarks_BxTxPx2, float("nan"))
        centre_Bx1x1x2 = _mean_of_seen(position[:, :, lm.CENTRE_POINT, None], default=0.5)
        scale_Bx1x1x2 = ops.sqrt(_mean_of_seen(ops.square(position - centre_Bx1x1x2), default=1.0))
        normalised = (position - centre_Bx1x1x2) / ops.where(scale_Bx1x1x2 > 0, scale_Bx1x1x2, 1.0)

        num_frames_B = ops.sum(ops.cast(mask, "int32"), axis=1)
        steps = [_step(normalised, num_frames_B, frames) for frames in (1, 2)]
        features = ops.concatenate([normalised, *steps], axis=-1)
        features = ops.reshape(features, (-1, ops.shape(features)[1], NUM_FEATURES))
        return ops.where(ops.isnan(features), 0.0, (features - self.mean) / self.std)


def _mean_of_seen(values_BxTxPx2, default: float):
    """(B, 1, 1, 2) mean over the frames and points that are not NaN, `default` where all are."""
    seen = ops.logical_not(ops.isnan(values_BxTxPx2))
    count = ops.sum(ops.cast(seen, "float32"), axis=(1, 2), keepdims=True)
    total = ops.sum(ops.where(seen, values_BxTxPx2, 0.0), axis=(1, 2), keepdims=True)
    return ops.where(count > 0, total / ops.maximum(count, 1.0), default)


def _step(values_BxTxPx2, num_frames_B, frames: int):
    """Movement to the frame that comes `frames` later; 0 in the sequence's last frames, seen or not."""
    ahead = ((0, 0), (0, frames), (0, 0), (0, 0))
    movement = ops.pad(values_BxTxPx2, ahead)[:, frames:] - values_BxTxPx2
    time = ops.arange(ops.shape(values_BxTxPx2)[1])[None, :]
    at_end = ops.logical_and(time >= num_frames_B[:, None] - frames, time < num_frames_B[:, None])
    return ops.where(at_end[:, :, None, None], 0.0, movement)
