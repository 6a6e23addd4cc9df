"""Recordings of any kind, each of one class: a wrist sensor, muscles, speech, handwriting read row by row.

What they are stands in a description file: see `pipeline.dataset.description`.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from pipeline.common.errors import UserError
from pipeline.common.storage import AnyPath
from pipeline.tasks.classes import OneClass
from pipeline.tasks.task import ExportContract, MetadataColumns, Points, Tables, as_tuple

FEWEST_FRAMES = 2


@dataclasses.dataclass(frozen=True)
class Recordings(OneClass):
    """Recordings of numbers with one class each, of which a description file tells (--task FILE.toml).

    A frame is a row of the channels, or where a clip is a row, one of so many equal parts of it.

    Attributes:
      tables: where the clips are, and how they are laid out.
      channels: what a frame holds, in order.
      rotations: names of three channels each that are the axes of one sensor, which may be worn turned.
      labels: the classes, by index.
      groups: the groups by number, where they do not end with one of their own.
    """

    name = "recordings"
    # Of the list that `pipeline.dataset.listing` makes.
    metadata: ClassVar = MetadataColumns(file="", path="file", id="clip", signer="group", label="label")
    presets: ClassVar = {"sequence-small": ("sequence-small", "sequence-small-final")}
    unit = "classes"
    visible = "a value"
    plausible_rule = f"at least {FEWEST_FRAMES} frames"
    frames_a_unit = FEWEST_FRAMES

    tables: Tables = Tables()  # noqa: RUF009  # it is frozen
    channels: tuple[str, ...] = ()
    rotations: tuple[tuple[str, ...], ...] = ()
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def points(self) -> Points:
        rotations = tuple(tuple(self.channels.index(name) for name in axes) for axes in self.rotations)
        return Points(names=self.channels, axes="v", rotations=rotations)

    @property
    def layout(self) -> Tables:
        return self.tables

    @property
    def contract(self) -> ExportContract:
        return ExportContract(
            frame=(len(self.channels),),
            columns=self.channels,
            index=np.arange(len(self.channels))[:, None],
            filler=None,
            max_mb=40.0,
            max_hours=1.0,
            test_clips=36_000,  # 100 ms a clip
        )

    @classmethod
    def of_data(cls, data: AnyPath, labels: Iterable[str]) -> "Recordings":
        raise UserError(f"the task {cls.name} needs a description of {data}: --task FILE.toml")

    @classmethod
    def of_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        tables = Tables(**{name: as_tuple(value) for name, value in dict(parameters["tables"]).items()})
        return super().of_parameters({**parameters, "tables": tables})

    @property
    def clips_overlap(self) -> bool:
        return self.tables.stride < self.tables.window

    @property
    def continuous(self) -> bool:
        return self.tables.kind == "streams"

    def place(self, clip_id: int) -> tuple[int, int]:
        return self.tables.place(clip_id)

    @property
    def rate(self) -> float:
        return self.tables.rate

    @property
    def classes(self) -> tuple[str, ...]:
        return self.labels

    def seen(self, landmarks_TxPxD: np.ndarray) -> np.ndarray:
        return np.isfinite(landmarks_TxPxD).any(axis=(1, 2))

    def plausible(self, landmarks_TxPxD: np.ndarray, label: str) -> bool:
        return self.rule_frames(landmarks_TxPxD) >= FEWEST_FRAMES
