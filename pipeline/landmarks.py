"""The 100 landmarks the recogniser sees: their order, groups, mirror pairs and parquet column names.

The order (face, right hand, left hand, right pose, left pose) is that of the published solution's network. It holds
everywhere in this project: in records, features, networks and exported models.

The indices are those of MediaPipe Holistic: https://github.com/google-ai-edge/mediapipe.
"""

import numpy as np

_MIDDLE_FACE = (0, 1, 2, 13, 14, 17)
# Each (right side, left side) pair of face points mirrors into the other; the first pair: the nostrils, the rest: lips.
_FACE_PAIRS = (
    *((98, 327), (37, 267), (39, 269), (40, 270), (61, 291), (78, 308), (80, 310), (81, 311), (82, 312), (84, 314)),
    *((87, 317), (88, 318), (91, 321), (95, 324), (146, 375), (178, 402), (181, 405), (185, 409), (191, 415)),
)
FACE_INDICES = tuple(sorted((*_MIDDLE_FACE, *(index for pair in _FACE_PAIRS for index in pair))))
HAND_INDICES = tuple(range(21))
RIGHT_POSE_INDICES = (12, 14, 16, 18, 20, 22, 24)
LEFT_POSE_INDICES = (11, 13, 15, 17, 19, 21, 23)

POINT_NAMES: tuple[str, ...] = (
    *(f"face_{i}" for i in FACE_INDICES),
    *(f"right_hand_{i}" for i in HAND_INDICES),
    *(f"left_hand_{i}" for i in HAND_INDICES),
    *(f"pose_{i}" for i in RIGHT_POSE_INDICES),
    *(f"pose_{i}" for i in LEFT_POSE_INDICES),
)
NUM_POINTS = len(POINT_NAMES)

FACE = slice(0, 44)
RIGHT_HAND = slice(44, 65)
LEFT_HAND = slice(65, 86)
RIGHT_POSE = slice(86, 93)
LEFT_POSE = slice(93, 100)

# Landmark 0 of a hand is the wrist: a hand counts as seen in a frame when its wrist has an x.
RIGHT_WRIST = RIGHT_HAND.start
LEFT_WRIST = LEFT_HAND.start
# The lower lip's middle: the point that features are centred on.
CENTRE_POINT = POINT_NAMES.index("face_17")

# Columns of the wide Kaggle parquet layout; the exported model takes its input columns in this order.
COLUMNS: tuple[str, ...] = tuple(f"{axis}_{name}" for axis in "xy" for name in POINT_NAMES)


def _mirror_permutation() -> np.ndarray:
    partner = {f"face_{i}": f"face_{i}" for i in _MIDDLE_FACE}
    for right, left in _FACE_PAIRS:
        partner |= {f"face_{right}": f"face_{left}", f"face_{left}": f"face_{right}"}
    for i in HAND_INDICES:
        partner |= {f"right_hand_{i}": f"left_hand_{i}", f"left_hand_{i}": f"right_hand_{i}"}
    for right, left in zip(RIGHT_POSE_INDICES, LEFT_POSE_INDICES, strict=True):
        partner |= {f"pose_{right}": f"pose_{left}", f"pose_{left}": f"pose_{right}"}
    return np.array([POINT_NAMES.index(partner[name]) for name in POINT_NAMES], np.int32)


# MIRROR[p] is the point that stands at p after a left-right flip.
MIRROR: np.ndarray = _mirror_permutation()
