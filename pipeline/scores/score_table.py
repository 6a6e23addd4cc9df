"""The table of predictions and their scores, one row a clip, joined to anything else by `sequence_id`.

A CSV file in UTF-8 with a header, floats in their shortest exact form.
"""

import csv
import dataclasses
import math
from collections.abc import Collection, Iterable
from typing import Self

from pipeline.common import directories, errors, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.dataset.clips import ClipInfo
from pipeline.dataset.splits import SPLITS
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

    @classmethod
    def of(cls, clip: ClipInfo, prediction: str, task: Task, learnt: Learnt, *, fold: int = 0) -> Self:
        """The one place where a prediction is scored."""
        return cls(
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
    def exact(self) -> bool:
        return self.label == self.prediction


def pooled_score(rows: Iterable[Row]) -> float:
    """1 - errors / units, both summed over all rows, of which there must be some: the competition's metric."""
    units, errors = map(sum, zip(*((row.units, row.errors) for row in rows), strict=True))
    return (units - errors) / units


# A directory with a manifest would be taken for complete.
_SCORE_AGAIN = "delete its directory and score the data set again"

_COLUMNS = (*(field.name for field in dataclasses.fields(Row)), "score", "exact")


def write(path: AnyPath, rows: Iterable[Row]) -> None:
    with storage.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for row in rows:
            values = (getattr(row, name) for name in _COLUMNS)
            writer.writerow([int(value) if isinstance(value, bool) else value for value in values])


def read(path: AnyPath) -> dict[int, Row]:
    """Rows by `sequence_id`. Raises `UserError` for a missing file, other columns, bad values or a repeated id."""
    rows: dict[int, Row] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                raise UserError(f"{path}: expected the columns {', '.join(_COLUMNS)}; {_SCORE_AGAIN}")
            for values in reader:
                row = _row(values)
                if row.sequence_id in rows:
                    raise UserError(f"{path}: clip {row.sequence_id} is listed twice; {_SCORE_AGAIN}")
                rows[row.sequence_id] = row
    except OSError as error:
        raise errors.cannot_read(path, error, _SCORE_AGAIN) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}, line {reader.line_num} is damaged ({error}); {_SCORE_AGAIN}") from error
    return rows


def _row(values: dict[str, str]) -> Row:
    """Raises `ValueError` for what `write` would not write."""
    if None in values or None in values.values():
        raise ValueError(f"expected {len(_COLUMNS)} fields")
    read = {int: int, str: str, bool: lambda text: text == "1"}
    row = Row(**{field.name: read[field.type](values[field.name]) for field in dataclasses.fields(Row)})  # type: ignore
    if row.split not in SPLITS:
        raise ValueError(f"there is no split {row.split!r}")
    for name, least in (("num_frames", 1), ("units", 1), ("errors", 0), ("fold", 0)):
        if getattr(row, name) < least:
            raise ValueError(f"{name} is {getattr(row, name)}")
    if not math.isclose(float(values["score"]), row.score, abs_tol=1e-12):
        raise ValueError(f"the score is {values['score']}, expected {row.score}")
    for name in ("plausible", "known_signer", "known_label", "exact"):
        if values[name] != str(int(getattr(row, name))):
            raise ValueError(f"{name} is {values[name]!r}, expected {int(getattr(row, name))}")
    return row
