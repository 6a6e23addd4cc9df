"""The table of predictions and their scores, one row a clip, joined to anything else by `sequence_id`.

A CSV file in UTF-8 with a header, floats in their shortest exact form.
"""

import csv
import dataclasses
from collections.abc import Callable, Collection, Iterable
from typing import Any, Self

import numpy as np

from pipeline.common import directories, errors, storage, tables
from pipeline.common.storage import AnyPath
from pipeline.dataset.clips import ClipInfo
from pipeline.tasks.task import Task

KIND = directories.Kind("score table", made_by="training.score")
FILE_NAME = "scores.csv"


@dataclasses.dataclass(frozen=True)
class Learnt:
    """Signers and labels of the clips that a model was trained on."""

    signers: Collection[int]
    labels: Collection[str]

    @classmethod
    def of(cls, clips: Iterable[ClipInfo]) -> Self:
        clips = list(clips)
        return cls({each.signer for each in clips}, {each.label for each in clips})


@dataclasses.dataclass(frozen=True)
class Row:
    """One scored clip.

    Attributes:
      plausible: whether the task's rule lets a base model be trained on it.
      errors, units: see `Task`; the score is 1 - errors / units, at most 1.
      fold: of the training clips that the model was not trained on, the one that holds this; 0: of none.
      known_signer, known_label: whether the training split, less the fold left out, has clips by this signer, and
        with this label. Both hold for a clip that the model was trained on.
      probability, rank: of the label among all classes, of a task with one class a clip: what the model gives it, and
        its place, from 1 on. None and 0 of other tasks.
    """

    sequence_id: int
    signer: int
    split: str
    num_frames: int
    plausible: bool
    label: str
    prediction: str
    errors: int
    units: int
    fold: int = 0
    known_signer: bool = False
    known_label: bool = False
    probability: float | None = None
    rank: int = 0

    @classmethod
    def of(
        cls,
        clip: ClipInfo,
        prediction: str,
        task: Task,
        learnt: Learnt,
        *,
        fold: int = 0,
        probabilities: np.ndarray | None = None,
    ) -> Self:
        """The one place where a prediction is scored.

        Args:
          probabilities: of all classes, of a task with one class a clip.
        """
        of_label: dict[str, Any] = {}
        if probabilities is not None:
            (index,) = task.encode(clip.label)
            better = int((probabilities > probabilities[index]).sum())
            of_label = {"probability": float(probabilities[index]), "rank": 1 + better}
        return cls(
            **of_label,
            sequence_id=clip.sequence_id,
            signer=clip.signer,
            split=clip.split,
            num_frames=clip.num_frames,
            plausible=clip.plausible,
            label=clip.label,
            prediction=prediction,
            errors=task.errors(clip.label, prediction),
            units=task.units(clip.label),
            fold=fold,
            known_signer=clip.signer in learnt.signers,
            known_label=clip.label in learnt.labels,
        )

    @property
    def score(self) -> float:
        return (self.units - self.errors) / self.units

    @property
    def quality(self) -> float:
        """What tells a spoiled clip from a good one: the probability of its label where that is known, or its score."""
        return self.score if self.probability is None else self.probability

    @property
    def exact(self) -> bool:
        return self.label == self.prediction


def pooled_score(rows: Iterable[Row]) -> float:
    """1 - errors / units, both summed over all rows, of which there must be some: the competition's metric."""
    units, errors = map(sum, zip(*((row.units, row.errors) for row in rows), strict=True))
    return (units - errors) / units


_COLUMNS = (*(field.name for field in dataclasses.fields(Row)), "score", "exact")


def write(path: AnyPath, rows: Iterable[Row]) -> None:
    with storage.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for row in rows:
            values = (getattr(row, name) for name in _COLUMNS)
            writer.writerow([int(value) if isinstance(value, bool) else value for value in values])


def open_table(directory: AnyPath, *kinds: directories.Kind) -> tuple[dict[str, Any], dict[int, Row]]:
    """The manifest of a complete directory of one of these kinds, and its rows by `sequence_id`.

    Raises:
      UserError: it is none, or its table is not the one that was written.
    """
    kinds = kinds or (KIND,)
    kind = next((each for each in kinds if directories.is_complete(directory, each)), kinds[0])
    manifest = directories.read_manifest(directory, kind, needed=["task"], files=[FILE_NAME])
    return manifest, read(directory / FILE_NAME)


def read(path: AnyPath) -> dict[int, Row]:
    """Rows by `sequence_id`. Raises `UserError` for a table that cannot be read."""
    fields = dataclasses.fields(Row)
    convert: dict[Any, Callable[[str], Any]] = {int: int, str: str, bool: lambda text: text == "1"}
    convert[float | None] = lambda text: float(text) if text else None
    try:
        table = tables.read_rows(path, path.read_bytes(), _COLUMNS)
        rows = (Row(**{field.name: convert[field.type](values[field.name]) for field in fields}) for values, _ in table)
        found: dict[int, Row] = {}
        for row in rows:
            if found.setdefault(row.sequence_id, row) is not row:
                raise ValueError(f"clip {row.sequence_id} is listed twice")
        return found
    except (OSError, ValueError) as error:
        raise errors.cannot_read(path, error, "delete its directory and score the dataset again") from error
