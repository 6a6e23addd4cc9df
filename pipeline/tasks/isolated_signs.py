"""Isolated signs: one sign a clip, of a fixed list. The Kaggle set asl-signs.

The classes are those of `sign_to_prediction_index_map.json`, by their indices; where a folder has no such file, the
signs of its metadata in alphabetical order.
"""

import dataclasses
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from pipeline.common import directories, errors, storage
from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.tasks import body
from pipeline.tasks.classes import OneClass
from pipeline.tasks.task import ExportContract, MetadataColumns

SIGN_MAP = "sign_to_prediction_index_map.json"
FEWEST_FRAMES = 3
TEST_CLIPS = 40_000  # about as many as the competition's hidden test set

_ROWS, _AXES = body.LONG.rows, body.LONG.values  # of the exported model's input too


@dataclasses.dataclass(frozen=True)
class IsolatedSigns(OneClass):
    """One sign a clip. The score is the accuracy: the share of the clips whose sign is recognized.

    DATA holds train.csv (path, participant_id, sequence_id, sign), sign_to_prediction_index_map.json (each sign with
    its index; optional), and a parquet file for each clip: a row for each point of a frame, columns frame, type (face,
    left_hand, pose, right_hand), landmark_index, x, y, z; 543 rows a frame.

    Attributes:
      signs: by index.
    """

    name = "isolated-signs"
    points = body.POINTS
    metadata = MetadataColumns(file="train.csv", path="path", id="sequence_id", signer="participant_id", label="sign")
    layout = body.LONG
    other_layouts = (body.WIDE,)
    presets: ClassVar = {"signs-small": ("signs-small", "signs-small"), "signs": ("signs", "signs")}
    unit = "signs"
    visible = "a hand"
    plausible_rule = f"at least {FEWEST_FRAMES} frames with a hand"
    frames_a_unit = FEWEST_FRAMES
    # The competition's limits: 100 ms a clip on average.
    contract = ExportContract(
        frame=(len(_ROWS), len(_AXES)),
        columns=(),
        index=np.array(
            [[len(_AXES) * _ROWS.index(name) + _AXES.index(axis) for axis in "xy"] for name in body.POINTS.names]
        ),
        filler=None,
        max_mb=40.0,
        max_hours=TEST_CLIPS * 0.1 / 3600,
        test_clips=TEST_CLIPS,
    )

    signs: tuple[str, ...] = ()

    @classmethod
    def of_data(cls, data: AnyPath, labels: Iterable[str]) -> "IsolatedSigns":
        file = data / SIGN_MAP
        if not file.exists():
            return cls(tuple(sorted(set(labels))))
        try:
            storage.check_ends(file)
            indices = directories.parse_json(file.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {file} ({errors.reason(error)}): download it again, or delete it") from error
        if not isinstance(indices, dict) or not all(type(index) is int for index in indices.values()):
            raise UserError(f"{file}: expected an object with the index of each sign")
        if sorted(indices.values()) != list(range(len(indices))):
            raise UserError(f"{file}: expected the indices 0 to {len(indices) - 1}, one for each of its signs")
        return cls(tuple(sorted(indices, key=indices.__getitem__)))

    @property
    def classes(self) -> tuple[str, ...]:
        return self.signs

    def seen(self, landmarks_TxPxD: np.ndarray) -> np.ndarray:
        return np.any(body.hands_seen(landmarks_TxPxD), axis=1)

    def plausible(self, landmarks_TxPxD: np.ndarray, label: str) -> bool:
        return self.rule_frames(landmarks_TxPxD) >= FEWEST_FRAMES
