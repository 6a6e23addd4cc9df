"""Augmentation of one clip's landmarks, and gap-aware resampling in time. numpy, on the host.

Everything here acts on raw landmarks (T, P, 2), before the features' per-clip normalization, and each augmentation
is one that survives it (scaling a whole clip, for one, would not). NaN marks missing values and stays missing.

Nothing changes its argument. numpy is slow where the last axis has few elements: so a point is one complex number
x + iy here, and a frame one row of 200 numbers.
"""

import math

import numpy as np

from pipeline.tasks.task import Points
from training import config as cfg

_MISSING = np.complex64(complex(math.nan, math.nan))


def augment(
    landmarks_TxPx2: np.ndarray, points: Points, config: cfg.Augment, random: np.random.Generator
) -> np.ndarray:
    """A random variation of a clip: each augmentation with its probability, where the points are such as it needs.

    Those that change lengths or labels are drawn with the batch plan instead: resampling in time and joining.

    Args:
      landmarks_TxPx2: float32, NaN for missing.
      config: probabilities and ranges.
      random: the same state gives the same result.
    """
    x = landmarks_TxPx2
    for probability, possible, change in (
        (config.mirror_probability, points.mirror is not None and points.axes == "xy", lambda x: mirror(x, points)),
        (config.affine_probability, points.axes == "xy", lambda x: affine(x, points, config, random)),
        (config.drop_hand_probability, points.hands, lambda x: drop_hand(x, points)),
        (config.drop_fingers_probability, points.hands, lambda x: drop_fingers(x, points, random)),
        (config.drop_face_probability, True, lambda x: _without(x, points.indices("face"))),
        (config.drop_pose_probability, True, lambda x: _without(x, points.indices("right_pose", "left_pose"))),
        (config.time_mask_probability, True, lambda x: time_mask(x, config, random)),
        (config.spatial_mask_probability, points.axes == "xy", lambda x: spatial_mask(x, config, random)),
        (config.turn_probability, bool(points.rotations), lambda x: turn(x, points, config, random)),
        (config.channel_scale_probability, points.axes == "v", lambda x: scale_channels(x, config, random)),
        (config.noise_probability, points.axes == "v", lambda x: add_noise(x, config, random)),
        (config.channel_mask_probability, points.axes == "v", lambda x: _without(x, random.integers(x.shape[1]))),
    ):
        if random.random() < probability and possible:
            x = change(x)
    return x


def resample(landmarks_TxPx2: np.ndarray, num_frames: int) -> np.ndarray:
    """Resamples to `num_frames` frames, linearly in time between frame centres.

    A gap neither spreads nor closes: where one of the two neighbouring frames misses a point, the nearer one decides
    whether it is missing, and gives its position if not. With as many frames as before, the result is the same.
    """
    old = len(landmarks_TxPx2)
    if num_frames == old:
        return landmarks_TxPx2
    centres_N = np.arange(num_frames, dtype=np.float32) + np.float32(0.5)
    position_N = np.clip(centres_N * np.float32(old / num_frames) - np.float32(0.5), 0, old - 1)
    before_N = position_N.astype(np.intp)
    fraction_N = position_N - before_N.astype(np.float32)
    rows_TxF = landmarks_TxPx2.reshape(old, -1)
    before = rows_TxF.take(before_N, axis=0)
    mixed = rows_TxF.take(np.minimum(before_N + 1, old - 1), axis=0)
    mixed -= before
    mixed *= fraction_N[:, None]
    mixed += before
    lost = np.isnan(mixed)
    nearest = rows_TxF.take(before_N + (fraction_N >= 0.5), axis=0)
    mixed[lost] = nearest[lost]
    return mixed.reshape(num_frames, *landmarks_TxPx2.shape[1:])


def mirror(landmarks_TxPx2: np.ndarray, points: Points) -> np.ndarray:
    """Left becomes right: x is reflected, and each point takes its mirror partner's place. Twice is the identity."""
    assert points.mirror is not None
    flipped = _as_xy(np.take(_as_complex(landmarks_TxPx2), points.mirror, axis=1))
    np.subtract(1, flipped[..., 0], out=flipped[..., 0])
    return flipped


def affine(landmarks_TxPx2: np.ndarray, points: Points, config: cfg.Augment, random: np.random.Generator) -> np.ndarray:
    """Rotates and shears about the image's middle, and shifts; the hands are scaled and shifted once more.

    The rotation is rigid in an image of the assumed aspect ratio (jittered by 10 %). Of a map of the whole image, the
    features' normalization takes back any scale, and the shift where a face is seen. So the published scale and shift
    act on the hands, against face and body, as if they were nearer or elsewhere.
    """
    angle, shear, jitter, shift_x, shift_y, hand_x, hand_y, hand_scale = random.uniform(-1, 1, 8)
    radians = angle * math.radians(config.rotation_degrees)
    cos, sin = math.cos(radians), math.sin(radians)
    shear_x, shear_y = (shear * config.shear, 0.0) if random.random() < 0.5 else (0.0, shear * config.shear)
    # In units of the image's width, y runs from 0 to the aspect ratio.
    aspect = config.aspect_ratio * (1 + 0.1 * jitter)
    p, q = cos + shear_x * sin, (shear_x * cos - sin) * aspect
    r, s = (sin + shear_y * cos) / aspect, cos - shear_y * sin
    num_points, hands = points.shape[0], points.indices(*points.hands or ())
    scale_P = np.ones(num_points)
    shift_P = np.full(num_points, config.shift * complex(shift_x, shift_y))
    scale_P[hands] += config.hand_scale * hand_scale
    shift_P[hands] += config.hand_shift * complex(hand_x, hand_y)
    # Any real matrix [[p, q], [r, s]] takes z = x + iy to a z + b conj(z).
    a_P = scale_P * complex(p + s, r - q) / 2
    b_P = scale_P * complex(p - s, r + q) / 2
    middle = complex(0.5, 0.5)
    c_P = middle + shift_P - a_P * middle - b_P * middle.conjugate()
    positions = _as_complex(landmarks_TxPx2)
    mapped = np.conj(positions)
    mapped *= b_P.astype(np.complex64)
    mapped += positions * a_P.astype(np.complex64)
    mapped += c_P.astype(np.complex64)
    return _as_xy(mapped)


def drop_hand(landmarks_TxPx2: np.ndarray, points: Points) -> np.ndarray:
    """Makes the hand that is seen in fewer frames missing: the other one spells, and without it nothing could be read.

    Of hands that are seen equally often, the left.
    """
    seen_right, seen_left = (np.count_nonzero(~np.isnan(landmarks_TxPx2[:, wrist, 0])) for wrist in points.wrists)
    right, left = points.hands or ("", "")
    return _without(landmarks_TxPx2, points.indices(left if seen_right >= seen_left else right))


def drop_fingers(landmarks_TxPx2: np.ndarray, points: Points, random: np.random.Generator) -> np.ndarray:
    """Makes two to six of the ten fingers missing, in all frames."""
    # Four points for each finger; a wrist belongs to none.
    fingers_10x4 = np.concatenate([points.indices(hand)[1:] for hand in points.hands or ()]).reshape(10, 4)
    return _without(landmarks_TxPx2, fingers_10x4[random.choice(10, random.integers(2, 7), replace=False)].ravel())


def time_mask(landmarks_TxPx2: np.ndarray, config: cfg.Augment, random: np.random.Generator) -> np.ndarray:
    """Makes a window of the frames missing."""
    num_frames = len(landmarks_TxPx2)
    window = num_frames * random.uniform(config.time_mask_low, config.time_mask_high)
    first = random.random() * (num_frames - window)
    masked = landmarks_TxPx2.copy()
    masked[math.ceil(first) : math.ceil(first + window)] = math.nan
    return masked


def spatial_mask(landmarks_TxPx2: np.ndarray, config: cfg.Augment, random: np.random.Generator) -> np.ndarray:
    """Makes what is inside a square window of the image missing, in each frame."""
    size = random.uniform(config.spatial_mask_low, config.spatial_mask_high)
    corner = random.uniform(0, 1 - size, 2)
    low_F, high_F = (np.tile(np.float32(xy), landmarks_TxPx2.shape[1]) for xy in (corner, corner + size))
    rows_TxF = landmarks_TxPx2.reshape(len(landmarks_TxPx2), -1)
    inside_TxF = (rows_TxF >= low_F) & (rows_TxF < high_F)
    inside_TxP = inside_TxF.view(np.uint16) == 0x0101  # x and y
    masked = landmarks_TxPx2.copy()
    _as_complex(masked)[inside_TxP] = _MISSING
    return masked


def turn(values_TxPx1: np.ndarray, points: Points, config: cfg.Augment, random: np.random.Generator) -> np.ndarray:
    """Turns all three-axis sensors alike, about an axis drawn at random: as one wears a bracelet otherwise.

    A frame that lacks one of a sensor's axes stays as it is: what its others would become is not known.
    """
    axis = random.normal(size=3)
    x, y, z = axis / np.linalg.norm(axis)
    angle = math.radians(config.turn_degrees) * random.uniform(-1, 1)
    # Rodrigues' formula.
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation_3x3 = np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    turned = values_TxPx1.copy()
    for axes in points.rotations:
        values_Tx3 = values_TxPx1[:, list(axes), 0]
        turned_Tx3 = values_Tx3 @ rotation_3x3.T.astype(np.float32)
        turned[:, list(axes), 0] = np.where(np.isnan(turned_Tx3), values_Tx3, turned_Tx3)
    return turned


def scale_channels(values_TxPx1: np.ndarray, config: cfg.Augment, random: np.random.Generator) -> np.ndarray:
    """Multiplies each channel by a factor of its own, the same in all frames."""
    factors_Px1 = 1 + config.channel_scale * random.uniform(-1, 1, (values_TxPx1.shape[1], 1))
    return values_TxPx1 * factors_Px1.astype(np.float32)


def add_noise(values_TxPx1: np.ndarray, config: cfg.Augment, random: np.random.Generator) -> np.ndarray:
    """Adds normal noise, relative to what each channel varies in the clip; a constant one stays constant."""
    seen = np.isfinite(values_TxPx1)
    count_Px1 = np.maximum(seen.sum(axis=0), 1)
    mean_Px1 = np.where(seen, values_TxPx1, 0).sum(axis=0) / count_Px1
    deviation_Px1 = np.sqrt(np.where(seen, np.square(values_TxPx1 - mean_Px1), 0).sum(axis=0) / count_Px1)
    noise = random.standard_normal(values_TxPx1.shape, np.float32) * np.float32(config.noise)
    return values_TxPx1 + noise * np.float32(deviation_Px1)


def _without(landmarks_TxPx2: np.ndarray, points) -> np.ndarray:
    rest = landmarks_TxPx2.copy()
    rest[:, points] = math.nan
    return rest


def _as_complex(landmarks_TxPx2: np.ndarray) -> np.ndarray:
    """(T, P) complex64: the same memory, x + iy."""
    return np.ascontiguousarray(landmarks_TxPx2).view(np.complex64)[..., 0]


def _as_xy(points_TxP: np.ndarray) -> np.ndarray:
    """The opposite of `_as_complex`."""
    return points_TxP.view(np.float32).reshape(*points_TxP.shape, 2)
