"""The published features of a sequence, in numpy: what the training statistics are made of.

Shapes: T frames, P = 100 points, F = 600 features. Point-major: for each point [x, y, dx1, dy1, dx2, dy2];
(T, P, 6) and (T, F) are the same numbers in the same order.
"""

import numpy as np

from pipeline import landmarks as lm

VALUES_PER_POINT = 6
NUM_FEATURES = lm.NUM_POINTS * VALUES_PER_POINT
# Where the centre is taken to be, in fractions of the image, when the centre point is never seen.
DEFAULT_CENTRE = 0.5


def features(landmarks_TxPx2: np.ndarray) -> np.ndarray:
    """(T, P, 6) float32; NaN where a landmark that a feature needs is missing.

    A coordinate is centred on the mean position of the lower lip and divided by the root mean square distance of all
    points and frames from it; x and y apart. The differences to one and two frames later are 0 past the end.
    """
    # A plane for each of the six: numpy is slow where the last axis has few elements.
    planes_6xTxP = np.zeros((VALUES_PER_POINT, *landmarks_TxPx2.shape[:2]), np.float32)
    for axis in range(2):
        x_TxP, step_TxP, two_steps_TxP = planes_6xTxP[axis::2]
        x_TxP[:] = landmarks_TxPx2[:, :, axis]
        x_TxP -= _mean_of_seen(x_TxP[:, lm.CENTRE_POINT], DEFAULT_CENTRE)
        x_TxP /= np.sqrt(_mean_of_seen(np.square(x_TxP), 1.0)) or 1.0
        np.subtract(x_TxP[1:], x_TxP[:-1], out=step_TxP[:-1])
        np.subtract(x_TxP[2:], x_TxP[:-2], out=two_steps_TxP[:-2])
    return np.moveaxis(planes_6xTxP, 0, 2)


def _mean_of_seen(values: np.ndarray, default: float) -> float:
    """The mean of the values that are not NaN, `default` where all are."""
    seen = values == values
    count = np.count_nonzero(seen)
    return float(np.where(seen, values, 0).sum(dtype=np.float64) / count) if count else default
