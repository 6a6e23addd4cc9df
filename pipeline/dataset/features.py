"""The published features of a clip, in numpy: what the training statistics are made of.

Shapes: T frames, P points, D dimensions of a point (x and y), F = 3 * P * D features. Point-major: for each point
[x, y, dx1, dy1, dx2, dy2]; (T, P, 3 D) and (T, F) are the same numbers in the same order.
"""

import numpy as np

from pipeline.tasks.task import Points

# Where the centre is taken to be, in fractions of the image, when the centre point is never seen.
DEFAULT_CENTRE = 0.5


def num_features(points: Points) -> int:
    """F."""
    num_points, dimensions = points.shape
    return 3 * num_points * dimensions


def features(landmarks_TxPxD: np.ndarray, points: Points) -> np.ndarray:
    """(T, P, 3 D) float32; NaN where a landmark that a feature needs is missing.

    A coordinate is centred on the mean position of the centre point and divided by the root mean square distance of all
    points and frames from it; each axis apart. (Where the task has no centre, values are taken as they are.) The
    differences to one and two frames later are 0 past the end.
    """
    num_frames, num_points, dimensions = landmarks_TxPxD.shape
    # A plane for each value of a point: numpy is slow where the last axis has few elements.
    planes_VxTxP = np.zeros((3 * dimensions, num_frames, num_points), np.float32)
    for axis in range(dimensions):
        x_TxP, step_TxP, two_steps_TxP = planes_VxTxP[axis::dimensions]
        x_TxP[:] = landmarks_TxPxD[:, :, axis]
        if points.centre is not None:
            x_TxP -= _mean_of_seen(x_TxP[:, points.centre], DEFAULT_CENTRE)
            x_TxP /= np.sqrt(_mean_of_seen(np.square(x_TxP), 1.0)) or 1.0
        np.subtract(x_TxP[1:], x_TxP[:-1], out=step_TxP[:-1])
        np.subtract(x_TxP[2:], x_TxP[:-2], out=two_steps_TxP[:-2])
    return np.moveaxis(planes_VxTxP, 0, 2)


def _mean_of_seen(values: np.ndarray, default: float) -> float:
    """The mean of the values that are not NaN, `default` where all are."""
    seen = values == values
    count = np.count_nonzero(seen)
    return float(np.where(seen, values, 0).sum(dtype=np.float64) / count) if count else default
