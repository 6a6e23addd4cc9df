"""What tells, from landmarks alone, that a recording is not what it should be.

Shapes: T frames, P points, D dimensions of a point, of which the first two, x and y, are looked at.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, Self

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
      far_outside: those in which one of them is farther than `FAR_OUTSIDE` from the image's corner.
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
    num_infinite = _count(infinite)
    if num_infinite:
        landmarks_TxPxD = np.where(infinite, np.float32(np.nan), landmarks_TxPxD)
    num_zeros = 0
    zero_GxT = _zeros(landmarks_TxPxD, points)
    if zero_GxT is not None:
        num_zeros = _count(zero_GxT.any(axis=0))
        landmarks_TxPxD = landmarks_TxPxD.copy()
        for group, zero_T in zip(points.groups.values(), zero_GxT, strict=True):
            landmarks_TxPxD[zero_T, group] = np.nan
    return landmarks_TxPxD, symptoms(landmarks_TxPxD, points, frames_with_zeros=num_zeros, infinite_values=num_infinite)


def _zeros(landmarks_TxPxD: np.ndarray, points: Points) -> np.ndarray | None:
    """(groups, T) bool: where all of a group is 0; None where that is nowhere, as in good recordings."""
    groups = points.groups.values()
    starts = [group.start for group in groups]
    if points.centre is None or not (landmarks_TxPxD.take(starts, axis=1)[..., 0] == 0).any():
        return None
    zero_GxT = np.array([(landmarks_TxPxD[:, group] == 0).all(axis=(1, 2)) for group in groups])
    return zero_GxT if zero_GxT.any() else None


def symptoms(landmarks_TxPxD: np.ndarray, points: Points, **found: int) -> Symptoms:
    """Of one clip; NaN for missing. Where the task has no hands, there is less to be seen.

    Args:
      found: counts of `Symptoms` that are known already.
    """
    num_frames = len(landmarks_TxPxD)
    found |= {"clips": 1, "frames": num_frames}
    if not points.hands or points.centre is None or not points.pose_wrists:
        return Symptoms(**found, frames_with_hand=num_frames)
    found["single_frames"] = int(num_frames == 1)
    # As complex numbers, x + iy, and taken at once: conversion looks at every clip.
    places_Tx5x2 = landmarks_TxPxD.take([*points.wrists, points.centre, *points.pose_wrists], axis=1)[..., :2]
    near_5xT = np.ascontiguousarray(places_Tx5x2, np.float32).view(np.complex64)[..., 0].T
    hands_2xT, pose_2xT = near_5xT[:2], near_5xT[3:]
    right_T, left_T, centre_T = near_5xT[:3] == near_5xT[:3]  # seen
    with np.errstate(over="ignore"):  # of numbers that are no places
        far_3xT = np.abs(near_5xT[:3]) > FAR_OUTSIDE
        to_own_2xT, to_other_2xT = np.abs(hands_2xT - pose_2xT), np.abs(hands_2xT - pose_2xT[::-1])
    return Symptoms(
        **found,
        frames_with_hand=_count(right_T | left_T),
        located=_count(right_T | left_T | centre_T),
        far_outside=_count(far_3xT.any(axis=0)),
        compared=_count(to_own_2xT + to_other_2xT >= 0),  # not where any is missing
        at_other_wrist=_count(2 * to_other_2xT < to_own_2xT),
    )


def _count(values: Any) -> int:
    return int(np.count_nonzero(values))


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
