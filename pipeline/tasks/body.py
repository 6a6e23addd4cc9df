"""The 100 landmarks of hands, face and body that the networks see: their order, groups, mirror pairs, and files.

The order (face, right hand, left hand, right pose, left pose) is that of the published solution's network.
The indices are those of MediaPipe Holistic: https://github.com/google-ai-edge/mediapipe.
"""

import itertools

import numpy as np

from pipeline.tasks.task import LongParquet, Points, WideParquet

_MIDDLE_FACE = (0, 1, 2, 13, 14, 17)
# Each (right side, left side) pair of face points mirrors into the other; the first pair: the nostrils, the rest: lips.
_FACE_PAIRS = (
    *((98, 327), (37, 267), (39, 269), (40, 270), (61, 291), (78, 308), (80, 310), (81, 311), (82, 312), (84, 314)),
    *((87, 317), (88, 318), (91, 321), (95, 324), (146, 375), (178, 402), (181, 405), (185, 409), (191, 415)),
)
_FACE = tuple(sorted((*_MIDDLE_FACE, *(index for pair in _FACE_PAIRS for index in pair))))
_HAND = tuple(range(21))
_RIGHT_POSE = (12, 14, 16, 18, 20, 22, 24)
_LEFT_POSE = (11, 13, 15, 17, 19, 21, 23)

_NAMES = (
    *(f"face_{i}" for i in _FACE),
    *(f"right_hand_{i}" for i in _HAND),
    *(f"left_hand_{i}" for i in _HAND),
    *(f"pose_{i}" for i in _RIGHT_POSE),
    *(f"pose_{i}" for i in _LEFT_POSE),
)


def _mirror() -> np.ndarray:
    partner = {f"face_{i}": f"face_{i}" for i in _MIDDLE_FACE}
    for right, left in _FACE_PAIRS:
        partner |= {f"face_{right}": f"face_{left}", f"face_{left}": f"face_{right}"}
    for i in _HAND:
        partner |= {f"right_hand_{i}": f"left_hand_{i}", f"left_hand_{i}": f"right_hand_{i}"}
    for right, left in zip(_RIGHT_POSE, _LEFT_POSE, strict=True):
        partner |= {f"pose_{right}": f"pose_{left}", f"pose_{left}": f"pose_{right}"}
    return np.array([_NAMES.index(partner[name]) for name in _NAMES], np.int32)


def _groups(**indices: tuple[int, ...]) -> dict[str, slice]:
    """Where each group lies, in the order of `_NAMES`."""
    ends = np.cumsum([len(each) for each in indices.values()]).tolist()
    return {name: slice(end - len(each), end) for (name, each), end in zip(indices.items(), ends, strict=True)}


# Bones of the hand, from MediaPipe's drawing of it, and of the pose; the contours of lips and nose.
_HAND_BONES = (
    *((0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (5, 9), (9, 10), (10, 11), (11, 12)),
    *((9, 13), (13, 14), (14, 15), (15, 16), (13, 17), (0, 17), (17, 18), (18, 19), (19, 20)),
)
_POSE_BONES = (
    *((11, 12), (12, 14), (14, 16), (16, 18), (18, 20), (16, 20), (16, 22), (12, 24)),
    *((11, 13), (13, 15), (15, 17), (17, 19), (15, 19), (15, 21), (11, 23), (23, 24)),
)
_OUTER_LIP = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185, 61)
_INNER_LIP = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191, 78)
_FACE_LINES = (*itertools.pairwise(_OUTER_LIP), *itertools.pairwise(_INNER_LIP), (98, 2), (2, 327), (2, 1))


def _edges() -> tuple[tuple[int, int], ...]:
    lines = {"right_hand": _HAND_BONES, "left_hand": _HAND_BONES, "pose": _POSE_BONES, "face": _FACE_LINES}
    return tuple(
        (_NAMES.index(f"{part}_{a}"), _NAMES.index(f"{part}_{b}")) for part, pairs in lines.items() for a, b in pairs
    )


POINTS = Points(
    names=_NAMES,
    axes="xy",
    groups=_groups(face=_FACE, right_hand=_HAND, left_hand=_HAND, right_pose=_RIGHT_POSE, left_pose=_LEFT_POSE),
    mirror=_mirror(),
    centre=_NAMES.index("face_17"),  # the lower lip's middle
    hands=("right_hand", "left_hand"),
    pose_wrists=(_NAMES.index("pose_16"), _NAMES.index("pose_15")),
    edges=_edges(),
    aspect=16 / 9,  # of a phone held upright
)

# The parts of a whole frame, in the order of the rows of long files, with their points.
PARTS = {"face": 468, "left_hand": 21, "pose": 33, "right_hand": 21}
LONG = LongParquet(
    id="sequence_id", frame="frame", part="type", index="landmark_index", values=("x", "y", "z"), parts=PARTS
)
WIDE = WideParquet(
    id="sequence_id", frame="frame", values=tuple(f"{axis}_{name}" for name in POINTS.names for axis in POINTS.axes)
)


def hands_seen(landmarks_TxPx2: np.ndarray) -> np.ndarray:
    """(T, 2) bool: whether the right and the left hand are seen, that is, whether their wrists have an x."""
    return np.logical_not(np.isnan(landmarks_TxPx2[:, POINTS.wrists, 0]))
