"""What tasks have in common whose label is one of a list of classes: the score is the accuracy."""

import abc
import dataclasses
from collections.abc import Iterable

from pipeline.tasks.faults import EMPTY_LABEL, UNKNOWN_CLASS, Fault
from pipeline.tasks.task import Task


@dataclasses.dataclass(frozen=True)
class OneClass(Task, abc.ABC):
    """A clip is of one class. The score is the accuracy: the share of the clips whose class is recognized."""

    head = "class"
    holdout = "signers"
    folds = 3

    def label_fault(self, label: str) -> Fault | None:
        if not label.strip():
            return Fault(EMPTY_LABEL, "its label is empty")
        if label not in self.classes:
            return Fault(UNKNOWN_CLASS, f"{label!r} is not one of the {len(self.classes)} {self.unit}")
        return None

    def encode(self, label: str) -> list[int]:
        try:
            return [self.classes.index(label)]
        except ValueError:
            raise KeyError(label) from None

    def decode(self, indices: Iterable[int]) -> str:
        (index,) = indices
        return self.classes[index]

    def edits(self, label: str, prediction: str) -> list[tuple[str, str]]:
        return [] if label == prediction else [(label, prediction)]

    def errors(self, label: str, prediction: str) -> int:
        return int(label != prediction)

    def units(self, label: str) -> int:
        return 1
