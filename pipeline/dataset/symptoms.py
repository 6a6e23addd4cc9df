"""What tells, from landmarks alone, that a recording is not what it should be.

Shapes: T frames, P points, D dimensions of a point, of which the first two, x and y, are looked at.
"""

import dataclasses
from collections.abc import Iterator
from typing import Self

import numpy as np

from pipeline.tasks.task import Points

FEWEST_COMPARED = 3  # frames in which hands are compared with the pose: in fewer, chance decides
FAR_OUTSIDE = 10.0  # of an image whose width and height are 1; points that a tracker guesses lie at 2, or at 3


@dataclasses.dataclass(frozen=True)
class Symptoms:
    """Counts over clips, which can be added.

    Attributes:
      clips, frames: how many there are.
      single_frames: clips of one frame.
      frames_with_hand: frames in which a hand is seen.
      located: frames in which a hand or the centre is seen.
      far_outside: those in which one of them is not within `FAR_OUTSIDE` of the image's corner.
      compared: times that a hand is seen in a frame together with both wrists of the pose.
      at_other_wrist: those in which its wrist is less than half as far from the other side's as from its own.
      frames_with_zeros: frames in which a part was exactly 0 throughout, and became missing.
      infinite_values: coordinates that were infinite, and became missing.
    """

    clips: int = 0
    frames: int = 0
    single_frames: int = 0
    frames_with_hand: int = 0
    located: int = 0
    far_outside: int = 0
    compared: int = 0
    at_other_wrist: int = 0
    frames_with_zeros: int = 0
    infinite_values: int = 0

    def __add__(self, other: Self) -> Self:
        return type(self)(**{name: count + getattr(other, name) for name, count in vars(self).items()})

    def complaints(self) -> dict[str, str]:
        """What is probably wrong, and what to do: a line for each kind. There is none of good recordings."""
        return dict(self._complaints())

    def _complaints(self) -> Iterator[tuple[str, str]]:
        if self.frames_with_zeros:
            yield (
                "zeros",
                f"in {self.frames_with_zeros:,} of {self.frames:,} frames a hand, face or pose is exactly 0: read as"
                " missing",
            )
        if self.compared >= FEWEST_COMPARED and self.at_other_wrist > 0.6 * self.compared:
            yield (
                "hands confused",
                "left and right hand are probably confused: each lies at the other side's wrist of the pose;"
                " --swap-hands exchanges them",
            )
        if 2 * self.far_outside > self.located:
            expected = "fractions: divide x by the image's width and y by its height"
            yield "pixels", f"coordinates are probably pixels; expected {expected}"
        if 2 * self.single_frames > self.clips:
            some = "the clip has" if self.clips == 1 else f"{self.single_frames:,} of {self.clips:,} clips have"
            yield ("single frames", f"{some} one frame only; expected the frames of a video, all with one id")
        if 10 * self.frames_with_hand < self.frames:
            share = self.frames_with_hand / self.frames
            yield "rare hands", f"a hand is seen in {share:.1%} of the frames only; expected hands in most of them"


def cleaned(landmarks_TxPxD: np.ndarray, points: Points) -> tuple[np.ndarray, Symptoms]:
    """The landmarks with what stands for missing values missing, and the symptoms that they show.

    Infinite values become NaN, and so does each group of points that is exactly 0 in a frame, in all dimensions, where
    positions are relative to a centre: (0, 0) is the corner of the image. The array given stays as it is.

    Args:
      landmarks_TxPxD: float32; NaN for missing.
    """
    infinite = np.isinf(landmarks_TxPxD)
    num_infinite = int(np.count_nonzero(infinite))
    if num_infinite:
        landmarks_TxPxD = np.where(infinite, np.float32(np.nan), landmarks_TxPxD)
    zeros = list(_zeros(landmarks_TxPxD, points))
    if zeros:
        landmarks_TxPxD = landmarks_TxPxD.copy()
        for group, zero_T in zeros:
            landmarks_TxPxD[zero_T, group] = np.nan
    num_zeros = int(np.count_nonzero(np.any([zero_T for _, zero_T in zeros], axis=0))) if zeros else 0
    found = dataclasses.replace(
        symptoms(landmarks_TxPxD, points), frames_with_zeros=num_zeros, infinite_values=num_infinite
    )
    return landmarks_TxPxD, found


def _zeros(landmarks_TxPxD: np.ndarray, points: Points) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields each group that is 0 somewhere, with (T,) bool: where."""
    groups = list(points.groups.values()) if points.centre is not None else []
    # Rarely is the first point of one 0: only then the others are looked at.
    if (landmarks_TxPxD[:, [group.start for group in groups], 0] == 0).any():
        for group in groups:
            zero_T = (landmarks_TxPxD[:, group] == 0).all(axis=(1, 2))
            if zero_T.any():
                yield group, zero_T


def symptoms(landmarks_TxPxD: np.ndarray, points: Points) -> Symptoms:
    """Of one clip; NaN for missing. Where the task has no hands, there is less to be seen."""
    num_frames = len(landmarks_TxPxD)
    found = {"clips": 1, "frames": num_frames, "single_frames": int(num_frames == 1)}
    if not points.hands or points.centre is None or not points.pose_wrists:
        return Symptoms(**found, frames_with_hand=num_frames)
    near = landmarks_TxPxD[:, [*points.wrists, points.centre, *points.pose_wrists], :2]
    near_2x5xT = np.ascontiguousarray(near.T)
    hands_2x2xT, pose_2x2xT = near_2x5xT[:, :2], near_2x5xT[:, 3:]
    right_T, left_T, centre_T, *_ = near_2x5xT[0] == near_2x5xT[0]  # seen
    found["frames_with_hand"] = int(np.count_nonzero(right_T | left_T))
    found["located"] = int(np.count_nonzero(right_T | left_T | centre_T))
    far_2x3xT = np.abs(near_2x5xT[:, :3]) > FAR_OUTSIDE
    found["far_outside"] = int(np.count_nonzero(far_2x3xT.any(axis=(0, 1))))
    own_2xT = np.square(hands_2x2xT - pose_2x2xT).sum(axis=0)
    other_2xT = np.square(hands_2x2xT - pose_2x2xT[:, ::-1]).sum(axis=0)
    found["compared"] = int(np.count_nonzero(own_2xT + other_2xT >= 0))  # not where any is missing
    found["at_other_wrist"] = int(np.count_nonzero(4 * other_2xT < own_2xT))
    return Symptoms(**found)


def swap_hands(landmarks_TxPxD: np.ndarray, points: Points) -> np.ndarray:
    """The landmarks with each hand in the other's place, nothing moved.

    Raises:
      ValueError: the task has no hands.
    """
    if not points.hands:
        raise ValueError("no hands to swap")
    right, left = (points.groups[hand] for hand in points.hands)
    swapped = landmarks_TxPxD.copy()
    swapped[:, right], swapped[:, left] = landmarks_TxPxD[:, left], landmarks_TxPxD[:, right]
    return swapped
