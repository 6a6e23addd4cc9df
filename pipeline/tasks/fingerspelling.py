"""Fingerspelling: phrases, spelled by hand before a phone. The Kaggle set asl-fingerspelling.

The classes are the 59 characters of the competition, with the indices of `character_to_prediction_index.json`: index 0
is the space.
"""

import dataclasses
from collections.abc import Iterable

import numpy as np

from pipeline.common import directories, errors, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.tasks import body
from pipeline.tasks.faults import EMPTY_LABEL, UNKNOWN_CHARACTERS, Fault
from pipeline.tasks.task import ExportContract, MetadataColumns, Task

CHARACTERS = " !#$%&'()*+,-./0123456789:;=?@[_abcdefghijklmnopqrstuvwxyz~"
CHARACTER_MAP = "character_to_prediction_index.json"
CHARACTER_TO_INDEX = {character: index for index, character in enumerate(CHARACTERS)}
# Columns of the competition's parquet files, in the order in which the exported file takes them: all x, then all y.
COLUMNS = tuple(f"{axis}_{name}" for axis in "xy" for name in body.POINTS.names)


@dataclasses.dataclass(frozen=True)
class Fingerspelling(Task):
    """Phrases, spelled by hand. The score is (N - D) / N: N characters, D edits, both summed over the clips.

    DATA holds train.csv (path, sequence_id, participant_id, phrase) and the parquet files it names: one row a video
    frame, columns sequence_id (or an index of pandas) and {x,y}_{face,left_hand,pose,right_hand}_{i}; a column frame,
    where there is one, must rise within a clip.
    """

    name = "fingerspelling"
    points = body.POINTS
    metadata = MetadataColumns(file="train.csv", path="path", id="sequence_id", signer="participant_id", label="phrase")
    layout = body.WIDE
    other_layouts = (body.LONG,)
    head = "ctc"
    holdout = "labels"
    unit = "characters"
    visible = "a hand"
    plausible_rule = "more than two frames with a hand for each character"
    frames_a_unit = 2
    # The competition's limits. How many clips its test set has is not published: as many as the training set.
    contract = ExportContract(
        frame=(len(COLUMNS),),
        columns=COLUMNS,
        index=np.arange(len(COLUMNS)).reshape(2, -1).T,
        filler=CHARACTER_TO_INDEX[" "],
        max_mb=40.0,
        max_hours=5.0,
        test_clips=67_208,
    )

    @classmethod
    def of_data(cls, data: AnyPath, labels: Iterable[str] = ()) -> "Fingerspelling":
        """Checks the character map of a data folder, if there is one."""
        file = data / CHARACTER_MAP
        if file.exists():
            try:
                storage.check_ends(file)
                characters = directories.parse_json(file.read_bytes())
            except (OSError, ValueError) as error:
                raise UserError(
                    f"cannot read {file} ({errors.reason(error)}): download it again, or delete it"
                ) from error
            if characters != CHARACTER_TO_INDEX:
                raise UserError(
                    f"{file} is not the vocabulary of this program ({len(CHARACTERS)} characters, the competition's):"
                    " its indices would mean other characters; take the competition's, or delete it"
                )
        return cls()

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(CHARACTERS)

    def label_fault(self, label: str) -> Fault | None:
        if not label.strip():
            return Fault(EMPTY_LABEL, "its phrase is empty")
        if unknown := "".join(dict.fromkeys(each for each in label if each not in CHARACTER_TO_INDEX)):
            return Fault(UNKNOWN_CHARACTERS, f"{unknown!r} in {label!r}")
        return None

    def encode(self, label: str) -> list[int]:
        return [CHARACTER_TO_INDEX[character] for character in label]

    def decode(self, indices: Iterable[int]) -> str:
        return "".join(CHARACTERS[index] for index in indices)

    def edits(self, label: str, prediction: str) -> list[tuple[str, str]]:
        return [pair for pair in self.alignment(label, prediction) if pair[0] != pair[1]]

    def alignment(self, label: str, prediction: str) -> list[tuple[str, str]]:
        import Levenshtein  # only here: a command that lacks it can say so (`errors.run`)

        found: list[tuple[str, str]] = []
        at = 0  # of the label
        for name, i, j in [*Levenshtein.editops(label, prediction), ("end", len(label), 0)]:
            found += [(same, same) for same in label[at:i]]
            if name != "end":
                found.append(("" if name == "insert" else label[i], "" if name == "delete" else prediction[j]))
            at = i + (name != "insert")
        return found

    def errors(self, label: str, prediction: str) -> int:
        import Levenshtein

        return Levenshtein.distance(label, prediction)

    def units(self, label: str) -> int:
        return len(label)

    def seen(self, landmarks_TxPxD: np.ndarray) -> np.ndarray:
        return np.any(body.hands_seen(landmarks_TxPxD), axis=1)

    def rule_frames(self, landmarks_TxPxD: np.ndarray) -> int:
        """Those of the hand that is seen more often."""
        return int(body.hands_seen(landmarks_TxPxD).sum(axis=0).max(initial=0))

    def plausible(self, landmarks_TxPxD: np.ndarray, label: str) -> bool:
        """The published filter of accidental taps."""
        return self.frames_a_unit * len(label) < self.rule_frames(landmarks_TxPxD)
