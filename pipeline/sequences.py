"""A sequence: the landmarks of one person spelling one phrase."""

import dataclasses

import numpy as np

from pipeline import landmarks as lm


@dataclasses.dataclass(frozen=True)
class Sequence:
    """One recording.

    Attributes:
      landmarks: (T, 100, 2) float32, x and y as fractions of the image, in the order of `landmarks.POINT_NAMES`;
        NaN where the tracker saw nothing. T >= 1.
      label: what was spelled.
      sequence_id: unique within a data set; every join is by this id.
      participant_id: the signer.
      source: the metadata file's name without its ending (`train`, `supplemental_metadata`).
    """

    landmarks: np.ndarray
    label: str
    sequence_id: int
    participant_id: int
    source: str

    @property
    def num_frames(self) -> int:
        return len(self.landmarks)


def hand_frames(landmarks_TxPx2: np.ndarray) -> int:
    """Frames in which the better-seen hand is seen (its wrist has an x)."""
    seen = ~np.isnan(landmarks_TxPx2[:, [lm.RIGHT_WRIST, lm.LEFT_WRIST], 0])
    return int(seen.sum(axis=0).max(initial=0))


def frames_without_hands(landmarks_TxPx2: np.ndarray) -> int:
    """Frames in which neither hand is seen."""
    return int(np.isnan(landmarks_TxPx2[:, [lm.RIGHT_WRIST, lm.LEFT_WRIST], 0]).all(axis=1).sum())


def passes_length_rule(landmarks_TxPx2: np.ndarray, label: str) -> bool:
    """Whether there are more than two hand frames a character: the published filter of accidental taps."""
    return 2 * len(label) < hand_frames(landmarks_TxPx2)
