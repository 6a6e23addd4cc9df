"""A clip: one person's recording of one label. The one place that judges whether it can be used.

Shapes: T frames, P points, D dimensions.
"""

import dataclasses
from typing import Self

import numpy as np

from pipeline.dataset.metadata import Entry
from pipeline.dataset.symptoms import Symptoms, cleaned
from pipeline.tasks.faults import Fault
from pipeline.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class Clip:
    """One recording.

    Attributes:
      landmarks: (T, P, D) float32, T >= 1, in the order of the task's points, as fractions of the image where they are
        positions in one; NaN where the tracker saw nothing.
      label: what was spelled, or signed.
      sequence_id: unique within a dataset; every join is by this id.
      signer: who was recorded.
      source: the metadata file's name without its ending (`train`, `supplemental_metadata`).
    """

    landmarks: np.ndarray
    label: str
    sequence_id: int
    signer: int
    source: str

    @property
    def num_frames(self) -> int:
        return len(self.landmarks)


def examine(entry: Entry, found: np.ndarray | Fault, task: Task) -> tuple[Clip, Symptoms] | Fault:
    """The clip of a row of the metadata and what its landmarks show; or what is wrong with it.

    What is wrong with the landmarks comes before what is wrong with the label.

    Args:
      found: (T, P, D) landmarks, or what the reader found wrong with them; `symptoms.cleaned` says what of them becomes
        missing.
    """
    if isinstance(found, Fault):
        return found
    if fault := task.label_fault(entry.label):
        return fault
    landmarks, shown = cleaned(found, task.points)
    return Clip(landmarks, entry.label, entry.sequence_id, entry.signer, entry.source), shown


@dataclasses.dataclass(frozen=True, slots=True)
class ClipInfo:
    """What there is to know of a clip without its landmarks: the reports of shards list these.

    Attributes:
      frames_unseen: frames in which nothing is to be recognized, see `Task.seen`.
      plausible: see `Task.plausible`.
    """

    sequence_id: int
    split: str
    signer: int
    source: str
    label: str
    num_frames: int
    frames_unseen: int
    plausible: bool

    @classmethod
    def of(cls, clip: Clip, split: str, task: Task) -> Self:
        return cls(
            clip.sequence_id,
            split,
            clip.signer,
            clip.source,
            clip.label,
            clip.num_frames,
            int(np.count_nonzero(~task.seen(clip.landmarks))),
            bool(task.plausible(clip.landmarks, clip.label)),
        )
