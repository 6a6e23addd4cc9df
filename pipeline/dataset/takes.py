"""Recordings to be recognized: more is taken than conversion takes, and what is unusual is said."""

import dataclasses

import numpy as np

from pipeline.common.storage import AnyPath

AGAIN = "frame numbers start again within a clip: each start is read as a take of its own"
REPEATED = "frame numbers repeat: rows are read in their order"
SCATTERED = "rows of a clip are in several places of the file: each is read as a take of its own"
SHUFFLED = "rows are not in the order of their frame numbers: read in that of the numbers"
SPARSE = "frame numbers rise by more than 1: if frames were left out, movement is faster than the model knows it"
UNNUMBERED = "a row has no frame number: rows are read in their order"
_FEWEST_STEPS = 10  # by which it is told that they are all more than 1


@dataclasses.dataclass(frozen=True)
class Take:
    """A recording to be recognized.

    Attributes:
      sequence_id: the id of its clip; where a file has no ids, that of `name_of`.
      landmarks: (T, P, D) float32, T >= 1, NaN for missing.
      number: from 1 on, among the takes of its clip in its file.
      remarks: what is unusual about it.
    """

    sequence_id: int | str
    landmarks: np.ndarray
    number: int = 1
    remarks: tuple[str, ...] = ()


def name_of(path: AnyPath) -> int | str:
    """What the clip of a file without ids is called: as the file, without its ending."""
    return int(path.stem) if path.stem.isdecimal() else path.stem


def split(numbers_R: np.ndarray) -> tuple[list[np.ndarray], list[str]]:
    """The rows of each take, in order of time, and remarks.

    Where no number is there twice, all are one take, whatever their order. Otherwise a number less than the one before
    it begins another.

    Args:
      numbers_R: frame numbers of the rows of a clip; NaN where a row has none.
    """
    rows, steps = np.arange(len(numbers_R)), np.diff(numbers_R)
    if not np.isfinite(numbers_R).all():
        return [rows], [UNNUMBERED]
    if (steps > 0).all():
        return [rows], [SPARSE] * bool(len(steps) >= _FEWEST_STEPS and steps.min() > 1)
    if len(np.unique(numbers_R)) == len(numbers_R):
        return [np.argsort(numbers_R)], [SHUFFLED]
    takes = np.split(rows, np.flatnonzero(steps < 0) + 1)
    return takes, [AGAIN] * (len(takes) > 1) + [REPEATED] * bool((steps == 0).any())
