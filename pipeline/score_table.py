"""The table of recognised text and scores, one row a sequence, joined to anything else by `sequence_id`.

A CSV file in UTF-8 with a header, floats in their shortest exact form.
"""

import csv
import dataclasses
import math
from collections.abc import Iterable

from pipeline import commands, storage
from pipeline.commands import UserError
from pipeline.splits import SPLITS
from pipeline.storage import Path

KIND = "score table"
FILE_NAME = "scores.csv"


@dataclasses.dataclass(frozen=True)
class Row:
    """One scored sequence.

    Attributes:
      score: (N - D) / N with N the target's characters and D the edits, at most 1.
      fold: of the training sequences that the model was not trained on, the one that holds this; 0: of none.
      known_signer, known_phrase: whether the training split, less the fold left out, has sequences by this signer, and
        of this phrase. Both hold for a sequence that the model was trained on.
    """

    sequence_id: int
    participant_id: int
    split: str
    num_frames: int
    passes_length_rule: bool
    target: str
    recognised: str
    score: float
    fold: int = 0
    known_signer: bool = False
    known_phrase: bool = False

    @property
    def exact(self) -> bool:
        return self.target == self.recognised


# A directory with a manifest would be taken for complete.
_SCORE_AGAIN = "delete its directory and score the data set again"

_COLUMNS = (*(field.name for field in dataclasses.fields(Row)), "exact")


def write(path: Path, rows: Iterable[Row]) -> None:
    with storage.replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for row in rows:
            writer.writerow([int(value) if isinstance(value, bool) else value for value in _values(row)])


def read(path: Path) -> dict[int, Row]:
    """Rows by `sequence_id`. Raises `UserError` for a missing file, other columns, bad values or a repeated id."""
    rows: dict[int, Row] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                raise UserError(f"{path}: expected the columns {', '.join(_COLUMNS)}; {_SCORE_AGAIN}")
            for values in reader:
                row = _row(values)
                if row.sequence_id in rows:
                    raise UserError(f"{path}: sequence {row.sequence_id} is listed twice; {_SCORE_AGAIN}")
                rows[row.sequence_id] = row
    except OSError as error:
        raise commands.cannot_read(path, error, _SCORE_AGAIN) from error
    except (ValueError, TypeError, csv.Error) as error:
        raise UserError(f"{path}, line {reader.line_num} is damaged ({error}); {_SCORE_AGAIN}") from error
    return rows


def _values(row: Row) -> tuple:
    return (*dataclasses.astuple(row), row.exact)


def _row(values: dict[str, str]) -> Row:
    """Raises `ValueError` for what `write` would not write."""
    if None in values or None in values.values():
        raise ValueError(f"expected {len(_COLUMNS)} fields")
    row = Row(
        sequence_id=int(values["sequence_id"]),
        participant_id=int(values["participant_id"]),
        split=values["split"],
        num_frames=int(values["num_frames"]),
        passes_length_rule=values["passes_length_rule"] == "1",
        target=values["target"],
        recognised=values["recognised"],
        score=float(values["score"]),
        fold=int(values["fold"]),
        known_signer=values["known_signer"] == "1",
        known_phrase=values["known_phrase"] == "1",
    )
    if row.split not in SPLITS:
        raise ValueError(f"there is no split {row.split!r}")
    if row.num_frames < 1:
        raise ValueError(f"num_frames is {row.num_frames}")
    if not row.target:
        raise ValueError("the target is empty")
    if not -math.inf < row.score <= 1:
        raise ValueError(f"the score is {row.score}")
    if row.fold < 0:
        raise ValueError(f"the fold is {row.fold}")
    for name in ("passes_length_rule", "known_signer", "known_phrase", "exact"):
        if values[name] != str(int(getattr(row, name))):
            raise ValueError(f"{name} is {values[name]!r}, expected {int(getattr(row, name))}")
    return row
