"""The published features of a sequence, in numpy: what the training statistics are made of.

Shapes: T frames, P = 100 points, F = 600 features. Point-major: for each point [x, y, dx1, dy1, dx2, dy2].
"""

import numpy as np

from pipeline import landmarks as lm

VALUES_PER_POINT = 6
NUM_FEATURES = lm.NUM_POINTS * VALUES_PER_POINT
# Where the centre is taken to be, in fractions of the image, when the centre point is never seen.
DEFAULT_CENTRE = 0.5


def features(landmarks_TxPx2: np.ndarray) -> np.ndarray:
    """(T, 600) float32; NaN where a landmark that a feature needs is missing.

    A coordinate is centred on the mean position of the lower lip and divided by the root mean square distance of all
    points and frames from it; x and y apart. The differences to one and two frames later are 0 past the end.
    """
    # Axes first: numpy is slow where the last axis has two elements.
    x_2xTxP = np.ascontiguousarray(np.moveaxis(landmarks_TxPx2, 2, 0), np.float64)
    features_TxPx6 = np.zeros((*landmarks_TxPx2.shape[:2], VALUES_PER_POINT), np.float32)
    for axis, x_TxP in enumerate(x_2xTxP):
        x_TxP = x_TxP - _mean_of_seen(x_TxP[:, lm.CENTRE_POINT], DEFAULT_CENTRE)
        x_TxP /= np.sqrt(_mean_of_seen(np.square(x_TxP), 1.0)) or 1.0
        features_TxPx6[:, :, axis] = x_TxP
        features_TxPx6[:-1, :, axis + 2] = x_TxP[1:] - x_TxP[:-1]
        features_TxPx6[:-2, :, axis + 4] = x_TxP[2:] - x_TxP[:-2]
    return features_TxPx6.reshape(-1, NUM_FEATURES)


def _mean_of_seen(values: np.ndarray, default: float) -> float:
    """The mean of the values that are not NaN, `default` where all are."""
    seen = values[~np.isnan(values)]
    return float(seen.mean()) if seen.size else default
